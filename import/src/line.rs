//! The lines of a text file, with their numbers; none can take more memory than a line may.

use std::io::{self, BufRead, Read as _};

use crate::finding::BadLine;

/// A longer line is bad: no command is as long.
pub const MOST_LINE_BYTES: u64 = 4 * 1024 * 1024;

/// Calls `read` with each line that is not blank, and its number from 1. Line ends, blanks at both ends of a line and a byte
/// order mark are left out.
pub fn lines<T>(
    mut reader: impl BufRead,
    mut read: impl FnMut(u64, &[u8]) -> Result<T, BadLine>,
) -> impl Iterator<Item = io::Result<Result<T, BadLine>>> {
    let mut number = 0;
    let mut text = Vec::new();
    std::iter::from_fn(move || {
        loop {
            text.clear();
            number += 1;
            match reader.by_ref().take(MOST_LINE_BYTES).read_until(b'\n', &mut text) {
                Ok(0) => return None,
                Ok(_) => {}
                Err(error) => return Some(Err(error)),
            }
            if text.len() as u64 == MOST_LINE_BYTES && !text.ends_with(b"\n") {
                if let Err(error) = reader.skip_until(b'\n') {
                    return Some(Err(error));
                }
                let detail = format!("the line is longer than {MOST_LINE_BYTES} bytes; a line holds one command");
                return Some(Ok(Err(BadLine { line: number, detail })));
            }
            let line = if number == 1 { text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text) } else { &text };
            let line = line.trim_ascii();
            if !line.is_empty() {
                return Some(Ok(read(number, line)));
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &[u8]) -> Vec<Result<(u64, String), BadLine>> {
        let own = |number: u64, line: &[u8]| Ok((number, String::from_utf8_lossy(line).into_owned()));
        lines(text, own).map(|line| line.expect("it is in memory")).collect()
    }

    #[test]
    fn line_ends_blank_lines_and_a_mark_change_nothing_but_the_number() {
        let read = all(b"\xef\xbb\xbf a \r\n\n\t\r\nb");
        assert_eq!(read, [Ok((1, "a".to_owned())), Ok((4, "b".to_owned()))]);
    }

    #[test]
    fn a_line_without_end_is_bad_and_the_next_is_read() {
        let read = all(format!("{}\nb", "x".repeat(MOST_LINE_BYTES as usize + 17)).as_bytes());
        assert_eq!(read.len(), 2);
        assert!(read[0].as_ref().is_err_and(|bad| bad.line == 1));
        assert_eq!(read[1], Ok((2, "b".to_owned())));
    }
}

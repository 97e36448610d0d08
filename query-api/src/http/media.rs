//! Which media type an answer has: what `Accept` says (RFC 9110 §12.5.1), and GraphQL over HTTP where it says nothing.

use axum::http::HeaderMap;
use axum::http::header::ACCEPT;

/// The media type of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Media {
    /// `application/json`: a well-formed request is 200 whatever became of it.
    Json,
    /// `application/graphql-response+json`: the status says whether there is an answer.
    GraphqlResponse,
    /// `text/html`: a person with a browser.
    Html,
}

impl Media {
    /// The value of `Content-Type`.
    pub(crate) const fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json; charset=utf-8",
            Self::GraphqlResponse => "application/graphql-response+json; charset=utf-8",
            Self::Html => "text/html; charset=utf-8",
        }
    }
}

/// What a client would like best; `None` if it takes nothing that there is.
///
/// Without a preference it is `application/json`: clients that know the newer media type say so.
pub(crate) fn preferred(headers: &HeaderMap) -> Option<Media> {
    let ranges = ranges(headers);
    if ranges.is_empty() {
        return Some(Media::Json);
    }
    let offers = [
        (Media::GraphqlResponse, "application", "graphql-response+json"),
        (Media::Json, "application", "json"),
        (Media::Html, "text", "html"),
    ];
    // Of equals, what was named counts before what a wildcard covers, then the order above.
    let mut best: Option<(u16, u8, Media)> = None;
    for (media, kind, subtype) in offers {
        let Some((quality, exactness)) = quality_of(&ranges, kind, subtype) else { continue };
        // A page is for those who ask for one by name; `*/*` is what programs send.
        if quality == 0 || (media == Media::Html && exactness < 2) {
            continue;
        }
        // `*/*` and `application/*` mean JSON.
        if media == Media::GraphqlResponse && exactness < 2 && quality_of(&ranges, "application", "json").is_some_and(|(json, _)| json > 0)
        {
            continue;
        }
        if best.is_none_or(|(least, named, _)| (quality, exactness) > (least, named)) {
            best = Some((quality, exactness, media));
        }
    }
    best.map(|(_, _, media)| media)
}

struct Range {
    kind: String,
    subtype: String,
    /// Thousandths.
    quality: u16,
}

fn ranges(headers: &HeaderMap) -> Vec<Range> {
    let texts = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    texts.flat_map(|text| text.split(',')).filter_map(range).collect()
}

fn range(text: &str) -> Option<Range> {
    let mut parts = text.split(';').map(str::trim);
    let (kind, subtype) = parts.next()?.split_once('/')?;
    let mut quality = 1_000;
    for parameter in parts {
        if let Some((name, value)) = parameter.split_once('=')
            && name.trim().eq_ignore_ascii_case("q")
        {
            quality = thousandths(value.trim())?;
        }
    }
    Some(Range { kind: kind.trim().to_ascii_lowercase(), subtype: subtype.trim().to_ascii_lowercase(), quality })
}

/// `1`, `0`, `0.8`, `0.875`: at most three digits behind the point.
fn thousandths(text: &str) -> Option<u16> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let whole: u16 = whole.parse().ok().filter(|whole| *whole <= 1)?;
    if fraction.len() > 3 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let fraction: u16 = format!("{fraction:0<3}").parse().ok()?;
    Some((whole * 1_000 + fraction).min(1_000))
}

/// The quality of the most exact range that covers a media type, and how exact it is: named 2, `type/*` 1, `*/*` 0.
fn quality_of(ranges: &[Range], kind: &str, subtype: &str) -> Option<(u16, u8)> {
    let exactness = |range: &Range| match (range.kind.as_str(), range.subtype.as_str()) {
        (found, name) if found == kind && name == subtype => Some(2),
        (found, "*") if found == kind => Some(1),
        ("*", "*") => Some(0),
        _ => None,
    };
    ranges.iter().filter_map(|range| exactness(range).map(|exactness| (range.quality, exactness))).max_by_key(|(_, exactness)| *exactness)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_media_type_is_what_the_client_would_like_best() {
        const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8";
        for (accept, expected) in [
            ("", Some(Media::Json)),
            ("*/*", Some(Media::Json)),
            ("application/*", Some(Media::Json)),
            ("application/json", Some(Media::Json)),
            ("application/json; charset=utf-8", Some(Media::Json)),
            ("application/graphql-response+json", Some(Media::GraphqlResponse)),
            ("application/graphql-response+json, application/json;q=0.9", Some(Media::GraphqlResponse)),
            ("application/json, application/graphql-response+json", Some(Media::GraphqlResponse)),
            ("application/graphql-response+json;q=0.1, application/json", Some(Media::Json)),
            ("application/json;q=0, */*", Some(Media::GraphqlResponse)),
            (BROWSER, Some(Media::Html)),
            ("application/json, text/html;q=0.5", Some(Media::Json)),
            ("text/csv", None),
            ("text/*", None),
            ("application/json;q=2", Some(Media::Json)),
        ] {
            let mut headers = HeaderMap::new();
            if !accept.is_empty() {
                headers.insert(ACCEPT, accept.parse().expect("a header"));
            }
            assert_eq!(preferred(&headers), expected, "{accept}");
        }
    }
}

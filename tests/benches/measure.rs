//! Measuring: subjects take turns, so that a noisy machine is noisy for all of them; medians are printed.

use std::time::Duration;

/// One thing that is measured, and the figures of its rounds.
pub struct Subject<'a> {
    name: &'a str,
    unit: &'a str,
    run: Box<dyn FnMut() -> f64 + 'a>,
    figures: Vec<f64>,
}

impl<'a> Subject<'a> {
    /// A subject whose `run` gives one figure.
    pub fn new(name: &'a str, unit: &'a str, run: impl FnMut() -> f64 + 'a) -> Self {
        Self { name, unit, run: Box::new(run), figures: Vec::new() }
    }

    /// The median of its rounds.
    pub fn median(&self) -> f64 {
        let mut figures = self.figures.clone();
        figures.sort_by(f64::total_cmp);
        figures[figures.len() / 2]
    }
}

/// Runs the subjects in turns and prints each median beside the first subject's.
pub fn side_by_side(title: &str, subjects: &mut [Subject<'_>]) {
    for round in 0..rounds() {
        for subject in subjects.iter_mut() {
            eprint!("\r\x1b[K{title}: round {} of {}, {}", round + 1, rounds(), subject.name);
            let figure = (subject.run)();
            subject.figures.push(figure);
        }
    }
    eprint!("\r\x1b[K");
    println!("\n### {title}\n\n| what | median | range | ratio |\n|---|---|---|---|");
    let first = subjects[0].median();
    for subject in subjects.iter() {
        let low = subject.figures.iter().copied().fold(f64::INFINITY, f64::min);
        let high = subject.figures.iter().copied().fold(0.0, f64::max);
        let ratio = subject.median() / first;
        println!("| {} | {} {} | {} – {} | {ratio:.2} |", subject.name, shown(subject.median()), subject.unit, shown(low), shown(high));
    }
}

/// How many rounds: `BENCH_ROUNDS`, 5 without it.
pub fn rounds() -> usize {
    number("BENCH_ROUNDS", 5)
}

/// A size from the environment.
pub fn number(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

/// Things per second.
pub fn rate(count: usize, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}

fn shown(figure: f64) -> String {
    if figure >= 1000.0 {
        let mut digits = format!("{figure:.0}");
        let mut at = digits.len();
        while at > 3 {
            at -= 3;
            digits.insert(at, ' ');
        }
        digits
    } else {
        format!("{figure:.1}")
    }
}

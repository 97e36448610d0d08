//! How much one subject uses at one time, so that no caller can take what belongs to all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Places that subjects hold: requests that are being answered, or connections that are open.
///
/// The key is the subject of a verified token, so the table holds at most as many rows as there are places in use.
#[derive(Debug)]
pub struct Subjects {
    most: usize,
    held: Mutex<HashMap<Arc<str>, usize>>,
}

impl Subjects {
    /// Every subject may hold `most` places at one time.
    #[must_use]
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, held: Mutex::default() })
    }

    /// How many places one subject may hold.
    #[must_use]
    pub fn most(&self) -> usize {
        self.most
    }

    /// A place for `subject` until it is dropped; `None` where the subject holds as many as it may.
    #[must_use]
    pub fn enter(self: &Arc<Self>, subject: &Arc<str>) -> Option<Place> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        match held.get_mut(subject) {
            Some(count) if *count >= self.most => return None,
            Some(count) => *count += 1,
            None if self.most == 0 => return None,
            None => {
                held.insert(Arc::clone(subject), 1);
            }
        }
        Some(Place { subjects: Arc::clone(self), subject: Arc::clone(subject) })
    }
}

/// A place that a subject holds; dropping it gives it back.
#[derive(Debug)]
pub struct Place {
    subjects: Arc<Subjects>,
    subject: Arc<str>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.subjects.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = held.get_mut(&self.subject) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.subject);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_that_holds_all_its_places_gets_no_more_and_others_are_not_affected() {
        let subjects = Subjects::new(2);
        let (awa, ben): (Arc<str>, Arc<str>) = ("awa".into(), "ben".into());
        let first = subjects.enter(&awa).expect("the first");
        let _second = subjects.enter(&awa).expect("the second");
        assert!(subjects.enter(&awa).is_none());
        assert!(subjects.enter(&ben).is_some());
        drop(first);
        assert!(subjects.enter(&awa).is_some());
    }

    #[test]
    fn nothing_is_kept_of_a_subject_that_holds_no_place() {
        let subjects = Subjects::new(1);
        for number in 0..100 {
            drop(subjects.enter(&format!("subject {number}").into()));
        }
        assert!(subjects.held.lock().expect("no panic").is_empty());
    }
}

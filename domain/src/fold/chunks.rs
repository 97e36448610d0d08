//! A list that is copied for a snapshot in no time: it stands in chunks that copies share until one of them changes.

use std::fmt;
use std::ops::Index;
use std::sync::Arc;

use serde::de::{SeqAccess, Visitor};
use serde::ser::SerializeSeq;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How many elements one chunk has. To copy the list costs a few nanoseconds a chunk; the first change to a chunk after
/// that copies its elements.
const A_CHUNK: usize = 256;

/// A list in chunks. Its copies are cheap, and independent of each other.
#[derive(Clone)]
pub struct Chunks<T> {
    chunks: Vec<Arc<Vec<T>>>,
    len: usize,
}

impl<T> Default for Chunks<T> {
    fn default() -> Self {
        Self { chunks: Vec::new(), len: 0 }
    }
}

impl<T> Chunks<T> {
    /// How many elements.
    pub fn len(&self) -> usize {
        self.len
    }

    /// No elements.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The elements in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.chunks.iter().flat_map(|chunk| chunk.iter())
    }
}

impl<T: Clone> Chunks<T> {
    /// Adds an element at the end.
    pub fn push(&mut self, element: T) {
        if self.len.is_multiple_of(A_CHUNK) {
            self.chunks.push(Arc::new(Vec::with_capacity(A_CHUNK)));
        }
        if let Some(last) = self.chunks.last_mut() {
            own(last).push(element);
            self.len += 1;
        }
    }

    /// Takes the last element away.
    pub fn pop(&mut self) -> Option<T> {
        let last = own(self.chunks.last_mut()?);
        let element = last.pop();
        if last.is_empty() {
            self.chunks.pop();
        }
        self.len -= usize::from(element.is_some());
        element
    }

    /// An element, to be changed.
    ///
    /// # Panics
    /// When there is none at this index.
    pub fn change(&mut self, index: usize) -> &mut T {
        &mut own(&mut self.chunks[index / A_CHUNK])[index % A_CHUNK]
    }
}

/// A chunk of this list alone. What is copied keeps room for a whole chunk, so that it does not move when it grows.
fn own<T: Clone>(chunk: &mut Arc<Vec<T>>) -> &mut Vec<T> {
    if Arc::get_mut(chunk).is_none() {
        let mut copy = Vec::with_capacity(A_CHUNK);
        copy.extend_from_slice(chunk);
        *chunk = Arc::new(copy);
    }
    Arc::make_mut(chunk)
}

impl<T> Index<usize> for Chunks<T> {
    type Output = T;

    fn index(&self, index: usize) -> &T {
        &self.chunks[index / A_CHUNK][index % A_CHUNK]
    }
}

impl<T: Clone> FromIterator<T> for Chunks<T> {
    fn from_iter<I: IntoIterator<Item = T>>(elements: I) -> Self {
        elements.into_iter().fold(Self::default(), |mut chunks, element| {
            chunks.push(element);
            chunks
        })
    }
}

impl<T: fmt::Debug> fmt::Debug for Chunks<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<T: PartialEq> PartialEq for Chunks<T> {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.iter().eq(other.iter())
    }
}

impl<T: Serialize> Serialize for Chunks<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.len))?;
        self.iter().try_for_each(|element| list.serialize_element(element))?;
        list.end()
    }
}

impl<'de, T: Clone + Deserialize<'de>> Deserialize<'de> for Chunks<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List<T>(std::marker::PhantomData<T>);

        impl<'de, T: Clone + Deserialize<'de>> Visitor<'de> for List<T> {
            type Value = Chunks<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Chunks<T>, A::Error> {
                let mut chunks = Chunks::default();
                while let Some(element) = list.next_element()? {
                    chunks.push(element);
                }
                Ok(chunks)
            }
        }

        deserializer.deserialize_seq(List(std::marker::PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Change {
        Push(u32),
        Pop,
        Set(prop::sample::Index, u32),
        Copy,
    }

    fn change() -> impl Strategy<Value = Change> {
        prop_oneof![
            6 => any::<u32>().prop_map(Change::Push),
            2 => Just(Change::Pop),
            4 => (any::<prop::sample::Index>(), any::<u32>()).prop_map(|(index, to)| Change::Set(index, to)),
            1 => Just(Change::Copy),
        ]
    }

    proptest! {
        /// Against the naive model: a vector, and vectors for its copies.
        #[test]
        fn it_is_a_list_and_its_copies_stay_what_they_were(begin in 0_usize..600, changes in prop::collection::vec(change(), 1..400)) {
            let mut chunks: Chunks<u32> = (0..begin as u32).collect();
            let mut list: Vec<u32> = (0..begin as u32).collect();
            let mut copies = Vec::new();
            for change in changes {
                match change {
                    Change::Push(element) => {
                        chunks.push(element);
                        list.push(element);
                    }
                    Change::Pop => prop_assert_eq!(chunks.pop(), list.pop()),
                    Change::Set(index, to) if !list.is_empty() => {
                        let index = index.index(list.len());
                        *chunks.change(index) = to;
                        list[index] = to;
                    }
                    Change::Set(..) => {}
                    Change::Copy => copies.push((chunks.clone(), list.clone())),
                }
            }
            copies.push((chunks, list));
            for (chunks, list) in copies {
                prop_assert_eq!(chunks.len(), list.len());
                prop_assert!(chunks.iter().eq(list.iter()));
                prop_assert!((0..list.len()).all(|index| chunks[index] == list[index]));
                let bytes = serde_json::to_vec(&chunks).expect("JSON");
                prop_assert_eq!(&bytes, &serde_json::to_vec(&list).expect("JSON"));
                prop_assert_eq!(serde_json::from_slice::<Chunks<u32>>(&bytes).expect("a list"), chunks);
            }
        }
    }
}

//! What callers know: the texts that they were given, by the `ETag` that they will name when they write.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;

use crate::store::{DocumentKey, ETag};

/// The latest texts, up to a number of bytes; each document counts its own.
#[derive(Debug)]
pub(super) struct Remembered {
    texts: HashMap<(DocumentKey, ETag), Bytes>,
    order: VecDeque<(DocumentKey, ETag)>,
    bytes: usize,
    bytes_max: usize,
}

impl Remembered {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { texts: HashMap::new(), order: VecDeque::new(), bytes: 0, bytes_max }
    }

    /// A text larger than the bound is not kept.
    pub(super) fn keep(&mut self, key: &DocumentKey, etag: &ETag, text: Bytes) {
        let place = (key.clone(), etag.clone());
        if text.len() > self.bytes_max || self.texts.contains_key(&place) {
            return;
        }
        self.bytes += text.len();
        self.order.push_back(place.clone());
        self.texts.insert(place, text);
        // an empty text takes room too
        while self.bytes > self.bytes_max || self.order.len() > self.bytes_max / 64 + 1 {
            let Some(oldest) = self.order.pop_front() else { return };
            self.bytes -= self.texts.remove(&oldest).map_or(0, |text| text.len());
        }
    }

    pub(super) fn text(&self, key: &DocumentKey, etag: &ETag) -> Option<Bytes> {
        self.texts.get(&(key.clone(), etag.clone())).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::{DocumentKey, ETag, Remembered};

    #[test]
    fn the_oldest_goes_when_there_is_no_room() {
        let mut remembered = Remembered::new(300);
        let (key, etag) = (DocumentKey::new("notes", "a"), |number: u32| ETag::new(&number.to_string()));
        for number in 0..4 {
            remembered.keep(&key, &etag(number), vec![b'x'; 100].into());
            remembered.keep(&key, &etag(number), "another".into());
        }
        remembered.keep(&key, &etag(9), vec![b'x'; 301].into());
        let found: Vec<_> =
            (0..10).filter(|&number| remembered.text(&key, &etag(number)).is_some()).collect();
        assert_eq!((found, remembered.bytes), (vec![1, 2, 3], 300));
        (10..1_000).for_each(|number| remembered.keep(&key, &etag(number), "".into()));
        assert!(remembered.order.len() <= 6 && remembered.texts.len() == remembered.order.len());
    }
}

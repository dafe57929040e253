//! A small seeded generator of numbers and prose, so that every run of every machine writes the same corpora.

/// A `SplitMix64`: tiny, fast, and good enough for texts.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

/// Words of the prose; some need escapes, some are not ASCII.
const WORDS: [&str; 72] = [
    "the",
    "a",
    "of",
    "and",
    "to",
    "in",
    "that",
    "is",
    "for",
    "with",
    "on",
    "as",
    "we",
    "you",
    "it",
    "this",
    "be",
    "not",
    "are",
    "from",
    "model",
    "answer",
    "question",
    "council",
    "review",
    "latency",
    "database",
    "customer",
    "invoice",
    "schedule",
    "Tuesday",
    "compare",
    "between",
    "several",
    "options",
    "because",
    "however",
    "result",
    "summary",
    "deadline",
    "because",
    "café",
    "naïve",
    "Zürich",
    "größer",
    "señor",
    "façade",
    "東京",
    "データ",
    "привет",
    "été",
    "\"quoted\"",
    "C:\\temp",
    "line\nbreak",
    "tab\there",
    "50%",
    "O'Brien",
    "3.14",
    "e-mail",
    "<b>bold</b>",
    "a/b",
    "🙂",
    "👩‍🚀",
    "—",
    "…",
    "storage",
    "garden",
    "window",
    "letter",
    "morning",
    "silence",
    "river",
];

impl Random {
    /// The same seed gives the same sequence.
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed ^ 0x9e37_79b9_7f4a_7c15)
    }

    /// The next 64 bits.
    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Below `end`.
    pub(crate) const fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// From `low` to `high`, both included.
    pub(crate) const fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// True in `percent` of 100 cases.
    pub(crate) const fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of these.
    pub(crate) fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        let last = from.len() - 1;
        from[usize::try_from(self.between(0, last as u64)).unwrap_or(last)]
    }

    /// Prose of about `bytes` bytes.
    pub(crate) fn prose(&mut self, bytes: usize) -> String {
        let mut out = String::with_capacity(bytes + 16);
        while out.len() < bytes {
            if !out.is_empty() {
                out.push(' ');
            }
            // the first words are the common ones of English, as in real texts
            let word = if self.chance(45) { self.pick(&WORDS[..20]) } else { self.pick(&WORDS) };
            out.push_str(word);
        }
        out
    }

    /// A version 4 UUID.
    pub(crate) fn uuid(&mut self) -> String {
        let high = (self.next() & !0xf000) | 0x4000;
        let low = (self.next() >> 2) | (1 << 63);
        format!(
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0xffff,
            low >> 48,
            low & 0xffff_ffff_ffff
        )
    }

    /// Letters and digits, as hosted sign-in services make their user ids.
    pub(crate) fn letters(&mut self, count: usize) -> String {
        const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        (0..count).map(|_| char::from(ALPHABET[(self.next() % 62) as usize])).collect()
    }

    /// An instant of 2024 as Python's `isoformat()` writes it, or as JavaScript's `toISOString()` does.
    pub(crate) fn instant(&mut self, javascript: bool) -> String {
        let date = format!("2024-{:02}-{:02}", self.between(1, 12), self.between(1, 28));
        let time = format!("{:02}:{:02}:{:02}", self.below(24), self.below(60), self.below(60));
        if javascript {
            format!("{date}T{time}.{:03}Z", self.below(1_000))
        } else {
            format!("{date}T{time}.{:06}", self.below(1_000_000))
        }
    }
}

//! The rules: a figure, a threshold, what it means when it is crossed, and who says so.

use std::collections::BTreeMap;

/// Something that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Figure {
    /// Documents of the largest collection.
    Documents,
    /// Writes that met another state than they expected, in millionths of all writes.
    ConflictRate,
    /// Bytes of the largest object that holds documents.
    LargestObject,
    /// Bytes of the largest SQLite file in the source: where each user has one, what a request loads.
    SqliteFile,
}

/// Where the documents are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Leads {
    /// In files or a bucket.
    Files,
    /// In SQLite.
    Sqlite,
    /// In PostgreSQL.
    Postgres,
}

/// What is advised, the larger step last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// Nothing; the figures are looked at again later.
    Stay,
    /// Large bodies go to object storage, and their URL into the document.
    Bodies,
    /// A move is considered, and the figure is watched.
    Review,
    /// A database beside the files answers queries; the files lead.
    Beside,
    /// A database leads.
    Database,
    /// PostgreSQL leads.
    Postgres,
}

impl Step {
    /// As it stands in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stay => "stay",
            Self::Bodies => "bodies",
            Self::Review => "review",
            Self::Beside => "beside",
            Self::Database => "database",
            Self::Postgres => "postgres",
        }
    }

    /// As a sentence.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Stay => "Stay where you are, and look again when the figures have grown.",
            Self::Bodies => "Stay where you are, and keep the large bodies in object storage.",
            Self::Review => "Stay for now, and watch this figure: it should not stay above its threshold.",
            Self::Beside => "Keep the files, and copy them into a database beside them for queries.",
            Self::Database => "Move the documents into a database.",
            Self::Postgres => "Move the documents into PostgreSQL.",
        }
    }
}

/// One threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// What is measured.
    pub figure: Figure,
    /// Crossed by what is more than this, in the unit of the figure.
    pub over: u64,
    /// Where the documents must be for it to say something; empty: anywhere.
    pub leads: &'static [Leads],
    /// What it means.
    pub means: &'static str,
    /// What to do then.
    pub advice: &'static str,
    /// How far that goes.
    pub step: Step,
    /// The app that set the threshold, and its words.
    pub from: (&'static str, &'static str),
}

/// All thresholds.
pub const RULES: [Rule; 7] = [
    Rule {
        figure: Figure::Documents,
        over: 1_000,
        leads: &[Leads::Files],
        means: "growth: from here on listing and filtering read too many files",
        advice: "Copy into a database beside the files and query that; the files stay the truth. No app has to be rewritten.",
        step: Step::Beside,
        from: ("dramas", "review when there are more than 1,000 dramas; 1,000 to 10,000 is growth"),
    },
    Rule {
        figure: Figure::Documents,
        over: 10_000,
        leads: &[Leads::Files],
        means: "production: many documents, many writes at once, queries and analytics",
        advice: "Let PostgreSQL lead. Where reads are many, keep the documents as objects too, as a cache that can be made anew.",
        step: Step::Postgres,
        from: ("dramas", "production is more than 10,000 dramas"),
    },
    Rule {
        figure: Figure::ConflictRate,
        over: 10_000,
        leads: &[Leads::Files],
        means: "writers of one document get into each other's way",
        advice: "Move into a database, where changes of a part are made on the newest state. Until then, `conflict = \"merge\"` in the model settles many.",
        step: Step::Database,
        from: ("dramas", "review when more than 1 % of the writes are in conflict"),
    },
    Rule {
        figure: Figure::Documents,
        over: 10_000,
        leads: &[Leads::Sqlite],
        means: "more than SQLite is meant for in an app with several processes",
        advice: "Move to PostgreSQL: export, and copy with DATABASE_URL set to it.",
        step: Step::Postgres,
        from: ("media", "SQLite from day one; PostgreSQL when there are more than 10,000 media items"),
    },
    Rule {
        figure: Figure::SqliteFile,
        over: 512 << 10,
        leads: &[],
        means: "each request that loads and saves the whole file becomes slower",
        advice: "Note it, and look again. Do not move ahead of need.",
        step: Step::Review,
        from: ("clips", "a note above 512 KB"),
    },
    Rule {
        figure: Figure::SqliteFile,
        over: 1 << 20,
        leads: &[],
        means: "loading and saving the whole file for each request has become slow",
        advice: "Look again before you move: one figure is not consistently. Then move archived data, or all of it, out of that file.",
        step: Step::Database,
        from: ("clips", "only when the database is consistently larger than 1 MB"),
    },
    Rule {
        figure: Figure::LargestObject,
        over: 10 << 20,
        leads: &[],
        means: "too large a body for a row",
        advice: "Keep such bodies in object storage, their URL in the document.",
        step: Step::Bodies,
        from: ("translation", "files below 10 MB in the database, larger ones in object storage"),
    },
];

/// What cannot be measured, and has to be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question {
    /// With yes or no as an answer.
    pub question: &'static str,
    /// What a yes speaks for.
    pub yes: &'static str,
    /// The app that asks.
    pub app: &'static str,
}

/// All questions.
pub const QUESTIONS: [Question; 8] = [
    Question {
        question: "Are there complex queries, over several fields or collections?",
        yes: "a database",
        app: "dramas",
    },
    Question {
        question: "Must several documents change together, as with money?",
        yes: "a database",
        app: "dramas",
    },
    Question { question: "Must references between documents hold?", yes: "a database", app: "dramas" },
    Question { question: "Are parts of documents changed often?", yes: "a database", app: "dramas" },
    Question {
        question: "Do several people work on one document at the same time?",
        yes: "a database",
        app: "dramas, clips",
    },
    Question {
        question: "Is it nearly all reading, by key or as a list, and is cost what counts?",
        yes: "staying",
        app: "dramas",
    },
    Question { question: "Is advanced querying wanted?", yes: "PostgreSQL", app: "media" },
    Question { question: "Do users complain that it is slow?", yes: "a database", app: "clips" },
];

/// One way to compare files with a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Axis {
    /// What is compared.
    pub axis: &'static str,
    /// With files or a bucket.
    pub files: &'static str,
    /// With a database.
    pub database: &'static str,
}

/// The axes on which the dramas app compares.
pub const AXES: [Axis; 7] = [
    Axis {
        axis: "read performance",
        files: "one object a document; a list reads all of them",
        database: "one statement a document; a list or filter reads an index",
    },
    Axis {
        axis: "write consistency",
        files: "one document at a time, by ETag; several through a journal",
        database: "any number in one transaction",
    },
    Axis { axis: "complex queries", files: "none", database: "SQL, filters, full text" },
    Axis { axis: "partial updates", files: "the whole object is written", database: "the rows that change" },
    Axis {
        axis: "operational cost",
        files: "storage and requests",
        database: "SQLite: none besides; PostgreSQL: a server, its connections and backups",
    },
    Axis { axis: "complexity", files: "least", database: "a schema, which Repot makes from the model" },
    Axis { axis: "migration effort", files: "none", database: "a copy with proof, and back by export" },
];

/// A figure that was measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measured {
    /// In the unit of the figure.
    pub value: u64,
    /// What it is of, such as the name of a collection or object.
    pub of: String,
    /// Where it was read.
    pub from: String,
}

/// A figure, or why there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// It was measured.
    Measured(Measured),
    /// It was not, for this reason.
    Unknown(String),
}

/// All figures.
pub type Readings = BTreeMap<Figure, Reading>;

/// What became of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The figure is above the threshold.
    Crossed(Measured),
    /// It is not.
    Within(Measured),
    /// Nobody knows, for this reason.
    Unknown(String),
}

/// A rule and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// The rule.
    pub rule: &'static Rule,
    /// What became of it.
    pub outcome: Outcome,
}

/// Holds the figures against the rules that say something about where the documents are.
#[must_use]
pub fn judge(leads: Leads, readings: &Readings) -> Vec<Judged> {
    let rules = RULES.iter().filter(|rule| rule.leads.is_empty() || rule.leads.contains(&leads));
    let judged = rules.map(|rule| {
        let outcome = match readings.get(&rule.figure) {
            Some(Reading::Measured(found)) if found.value > rule.over => Outcome::Crossed(found.clone()),
            Some(Reading::Measured(found)) => Outcome::Within(found.clone()),
            Some(Reading::Unknown(why)) => Outcome::Unknown(why.clone()),
            None => Outcome::Unknown("it was not looked for".to_owned()),
        };
        Judged { rule, outcome }
    });
    judged.collect()
}

/// What all crossed thresholds together advise.
#[must_use]
pub fn step(judged: &[Judged]) -> Step {
    let crossed = judged.iter().filter(|judged| matches!(judged.outcome, Outcome::Crossed(_)));
    crossed.map(|judged| judged.rule.step).max().unwrap_or(Step::Stay)
}

#[cfg(test)]
mod tests {
    use super::{Figure, Judged, Leads, Measured, Outcome, RULES, Reading, Readings, Step, judge, step};

    fn readings(figure: Figure, value: u64) -> Readings {
        let measured = Measured { value, of: "x".to_owned(), from: "y".to_owned() };
        Readings::from([(figure, Reading::Measured(measured))])
    }

    fn crossed(judged: &[Judged]) -> Vec<u64> {
        let crossed = judged.iter().filter(|judged| matches!(judged.outcome, Outcome::Crossed(_)));
        crossed.map(|judged| judged.rule.over).collect()
    }

    #[test]
    fn the_apps_thresholds_just_below_and_just_above() {
        use Figure::{ConflictRate, Documents, LargestObject, SqliteFile};
        use Leads::{Files, Postgres, Sqlite};
        let cases: [(Leads, Figure, u64, &[u64], Step); 21] = [
            (Files, Documents, 0, &[], Step::Stay),
            (Files, Documents, 1_000, &[], Step::Stay),
            (Files, Documents, 1_001, &[1_000], Step::Beside),
            (Files, Documents, 10_000, &[1_000], Step::Beside),
            (Files, Documents, 10_001, &[1_000, 10_000], Step::Postgres),
            (Sqlite, Documents, 10_000, &[], Step::Stay),
            (Sqlite, Documents, 10_001, &[10_000], Step::Postgres),
            (Postgres, Documents, 10_001, &[], Step::Stay),
            (Files, ConflictRate, 10_000, &[], Step::Stay),
            (Files, ConflictRate, 10_001, &[10_000], Step::Database),
            (Postgres, ConflictRate, 10_001, &[], Step::Stay),
            (Files, SqliteFile, 524_288, &[], Step::Stay),
            (Files, SqliteFile, 524_289, &[524_288], Step::Review),
            (Files, SqliteFile, 1_048_576, &[524_288], Step::Review),
            (Files, SqliteFile, 1_048_577, &[524_288, 1_048_576], Step::Database),
            (Postgres, SqliteFile, 524_288, &[], Step::Stay),
            (Postgres, SqliteFile, 1_048_577, &[524_288, 1_048_576], Step::Database),
            (Files, LargestObject, 10_485_760, &[], Step::Stay),
            (Files, LargestObject, 10_485_761, &[10_485_760], Step::Bodies),
            (Sqlite, LargestObject, 10_485_760, &[], Step::Stay),
            (Postgres, LargestObject, 10_485_761, &[10_485_760], Step::Bodies),
        ];
        for (leads, figure, value, wanted, advised) in cases {
            let judged = judge(leads, &readings(figure, value));
            assert_eq!(crossed(&judged), wanted, "{leads:?} {figure:?} {value}");
            assert_eq!(step(&judged), advised, "{leads:?} {figure:?} {value}");
        }
        // no threshold is without a case on both of its sides
        for rule in RULES {
            for value in [rule.over, rule.over + 1] {
                assert!(cases.iter().any(|case| (case.1, case.2) == (rule.figure, value)), "{rule:?}");
            }
        }
    }

    #[test]
    fn what_was_not_measured_crosses_nothing_and_says_why() {
        let unknown = Readings::from([(Figure::ConflictRate, Reading::Unknown("no server".to_owned()))]);
        let judged = judge(Leads::Files, &unknown);
        assert_eq!((crossed(&judged).len(), step(&judged)), (0, Step::Stay));
        let why = judged.iter().find(|judged| judged.rule.figure == Figure::ConflictRate).unwrap();
        assert_eq!(why.outcome, Outcome::Unknown("no server".to_owned()));
        assert_eq!(judged.len(), 6, "all that say something of files");
    }
}

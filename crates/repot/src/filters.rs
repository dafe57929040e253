//! Which documents are wanted, and in what order.

/// A value that fields are compared with.
#[derive(Debug, Clone, PartialEq)]
pub enum Operand {
    /// Nothing: the field is missing or null.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Another number.
    Float(f64),
    /// A text; for a field that is a time, one in RFC 3339, or a date. Other texts come after all times.
    Text(String),
}

macro_rules! operand_from {
    ($($kind:ty => $variant:ident)*) => {
        $(
            impl From<$kind> for Operand {
                fn from(value: $kind) -> Self {
                    Self::$variant(value.into())
                }
            }
        )*
    };
}

operand_from!(bool => Bool i64 => Int i32 => Int u32 => Int f64 => Float &str => Text String => Text &String => Text);

/// How a field is compared.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Test {
    OneOf(Vec<Operand>),
    Not(Operand),
    Less(Operand),
    LessOrEqual(Operand),
    More(Operand),
    MoreOrEqual(Operand),
}

/// Which documents are wanted, and in what order. Fields are those of the model; a field that the model does not
/// name is looked for in the document, `a.b` inside of `a`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filters {
    pub(crate) tests: Vec<(String, Test)>,
    pub(crate) order: Vec<(String, bool)>,
}

impl Filters {
    /// All documents, in the store's order.
    #[must_use]
    pub fn all() -> Self {
        Self::default()
    }

    fn with(mut self, field: &str, test: Test) -> Self {
        self.tests.push((field.to_owned(), test));
        self
    }

    /// The field is this.
    #[must_use]
    pub fn eq(self, field: &str, value: impl Into<Operand>) -> Self {
        self.with(field, Test::OneOf(vec![value.into()]))
    }

    /// The field is something else, or nothing.
    #[must_use]
    pub fn ne(self, field: &str, value: impl Into<Operand>) -> Self {
        self.with(field, Test::Not(value.into()))
    }

    /// The field is one of these.
    #[must_use]
    pub fn one_of<O: Into<Operand>>(self, field: &str, values: impl IntoIterator<Item = O>) -> Self {
        self.with(field, Test::OneOf(values.into_iter().map(Into::into).collect()))
    }

    /// The field is less.
    #[must_use]
    pub fn lt(self, field: &str, value: impl Into<Operand>) -> Self {
        self.with(field, Test::Less(value.into()))
    }

    /// The field is less, or this.
    #[must_use]
    pub fn lte(self, field: &str, value: impl Into<Operand>) -> Self {
        self.with(field, Test::LessOrEqual(value.into()))
    }

    /// The field is more.
    #[must_use]
    pub fn gt(self, field: &str, value: impl Into<Operand>) -> Self {
        self.with(field, Test::More(value.into()))
    }

    /// The field is more, or this.
    #[must_use]
    pub fn gte(self, field: &str, value: impl Into<Operand>) -> Self {
        self.with(field, Test::MoreOrEqual(value.into()))
    }

    /// Lowest first; nothing before everything. A second call orders those that are equal by the first.
    #[must_use]
    pub fn ascending(mut self, field: &str) -> Self {
        self.order.push((field.to_owned(), false));
        self
    }

    /// Highest first.
    #[must_use]
    pub fn descending(mut self, field: &str) -> Self {
        self.order.push((field.to_owned(), true));
        self
    }
}

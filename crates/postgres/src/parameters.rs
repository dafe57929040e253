//! Values of statements that are run elsewhere than where they were made.

use tokio_postgres::types::{ToSql, Type};

/// A value with its type.
pub(crate) type Parameter = (Box<dyn ToSql + Sync + Send>, Type);
pub(crate) type Parameters = Vec<Parameter>;

/// As the client takes them.
pub(crate) fn listed(parameters: &[Parameter]) -> Vec<(&(dyn ToSql + Sync), Type)> {
    parameters.iter().map(|(value, kind)| (value.as_ref() as &(dyn ToSql + Sync), kind.clone())).collect()
}

/// A value as a parameter.
pub(crate) fn given(value: impl ToSql + Sync + Send + 'static, kind: Type) -> Parameter {
    (Box::new(value), kind)
}

pub(crate) fn limit(most: usize) -> i64 {
    i64::try_from(most).unwrap_or(i64::MAX)
}

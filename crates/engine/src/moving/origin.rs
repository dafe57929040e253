//! From which database a move began. Two databases are easily taken for each other, and the files from before are often still there: who
//! names another old store than that one must not take part.

use repot_core::store::{FactChange, FactValue, Precondition, UnitOfWork};
use repot_core::{Error, Kind, Reader, Result};

use super::member::Moving;

/// Kind of the fact that names it.
pub(super) const ORIGIN: &str = "move_origin";
const NAME: &str = "old";

/// Whether a move from another database is on its way into the one that is read.
///
/// # Errors
/// When it cannot be read.
pub fn comes_from_database(reader: &mut dyn Reader) -> Result<bool> {
    Ok(reader.fact(ORIGIN, NAME)?.is_some())
}

impl Moving {
    /// Gives the old database a name, unless it has one, and notes that as where the move comes from.
    pub(super) async fn note_origin(&self) -> Result<()> {
        if self.sides.outsiders.is_none() {
            return Ok(());
        }
        let name = loop {
            if let Some(name) = self.sides.beside.origin().await? {
                break name;
            }
            let made = format!("{:016x}{:016x}", self.pacing.random(), self.pacing.random());
            match self.sides.beside.name_origin(&made, &Precondition::Absent).await {
                Err(error) if error.kind() == Kind::Conflict => {}
                done => done?,
            }
        };
        let fact = FactChange::put(ORIGIN, NAME, FactValue::lasting(name));
        self.journal.apply(UnitOfWork { facts: vec![fact], ..UnitOfWork::default() }).await
    }

    /// Checks that the old store is the one that the move began from.
    ///
    /// # Errors
    /// `R0727` when it is another one; when a store is out of reach.
    pub async fn check_origin(&self) -> Result<()> {
        let Some(ledger) = self.sides.new.ledger() else { return Ok(()) };
        let noted = ledger.fact(ORIGIN, NAME).await?;
        let found = match &self.sides.outsiders {
            // no move from files has a name
            None if noted.is_none() => return Ok(()),
            _ => self.sides.beside.origin().await?,
        };
        if found.as_ref().map(String::as_bytes) == noted.as_ref().map(|fact| &fact.value[..]) {
            return Ok(());
        }
        let message = format!("the documents do not move from {}", self.sides.old);
        Err(Error::new(Kind::Refused, "R0727", message)
            .hint("Name the store that the move began from: REPOT_SOURCE, or `source` in the model."))
    }
}

//! How the values of our facts are written: a form, then one field after the other, without names.

use repot_core::{Error, Kind, Result};

/// Writes fields.
#[derive(Debug)]
pub(crate) struct Packer(Vec<u8>);

impl Packer {
    /// Begins a value of this form; another order of fields is another form.
    pub(crate) fn new(form: u8) -> Self {
        Self(vec![form])
    }

    pub(crate) fn number(mut self, number: i64) -> Self {
        self.0.extend(number.to_le_bytes());
        self
    }

    /// A number that may be missing.
    pub(crate) fn maybe(self, number: Option<i64>) -> Self {
        self.number(number.is_some().into()).number(number.unwrap_or_default())
    }

    pub(crate) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend((bytes.len() as u64).to_le_bytes());
        self.0.extend(bytes);
        self
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// Reads fields in the order in which they were written.
#[derive(Debug)]
pub(crate) struct Unpacker<'a> {
    what: &'static str,
    rest: &'a [u8],
}

impl<'a> Unpacker<'a> {
    /// Begins with a value of this form.
    ///
    /// # Errors
    /// `R0803` when it has another, and so has each field that is not there.
    pub(crate) fn new(what: &'static str, form: u8, value: &'a [u8]) -> Result<Self> {
        Self::since(what, (form, form), value).map(|(_, read)| read)
    }

    /// Begins with a value of one of these forms, from the oldest to the newest; gives which.
    ///
    /// # Errors
    /// `R0108` when it has a newer one; as [`Unpacker::new`].
    pub(crate) fn since(
        what: &'static str,
        (oldest, newest): (u8, u8),
        value: &'a [u8],
    ) -> Result<(u8, Self)> {
        match value.split_first() {
            Some((own, rest)) if (oldest..=newest).contains(own) => Ok((*own, Self { what, rest })),
            Some((own, _)) if *own > newest => {
                Err(Error::new(Kind::Unsupported, "R0108", format!("{what} is of a newer version of Repot"))
                    .hint("Use the version that wrote it, or a newer one."))
            }
            _ => Err(damaged(what)),
        }
    }

    /// Nothing follows.
    ///
    /// # Errors
    /// `R0803` where something does.
    pub(crate) fn end(self) -> Result<()> {
        if self.rest.is_empty() { Ok(()) } else { Err(damaged(self.what)) }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or_else(|| damaged(self.what))?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn number(&mut self) -> Result<i64> {
        let taken = self.take(8)?;
        taken.try_into().map(i64::from_le_bytes).map_err(|_length| damaged(self.what))
    }

    pub(crate) fn maybe(&mut self) -> Result<Option<i64>> {
        let (is_there, number) = (self.number()?, self.number()?);
        Ok((is_there != 0).then_some(number))
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8]> {
        let length = usize::try_from(self.number()?).map_err(|_negative| damaged(self.what))?;
        self.take(length)
    }

    pub(crate) fn text(&mut self) -> Result<String> {
        String::from_utf8(self.bytes()?.to_vec()).map_err(|_not_utf8| damaged(self.what))
    }

    /// A number of fields that follow; more than there are bytes is damage.
    pub(crate) fn count(&mut self) -> Result<usize> {
        let count = usize::try_from(self.number()?).ok().filter(|&count| count <= self.rest.len());
        count.ok_or_else(|| damaged(self.what))
    }
}

pub(crate) fn damaged(what: &str) -> Error {
    Error::new(Kind::Corrupt, "R0803", format!("{what} holds something that Repot did not write"))
        .hint("Somebody changed Repot's own tables; restore the database from a backup.")
}

#[cfg(test)]
mod tests {
    use super::{Packer, Unpacker};

    #[test]
    fn fields_come_back_and_damage_is_told() {
        let value =
            Packer::new(3).number(-5).maybe(None).maybe(Some(7)).bytes(b"").bytes("ä".as_bytes()).finish();
        let mut read = Unpacker::new("a thing", 3, &value).unwrap();
        assert_eq!(
            (read.number().unwrap(), read.maybe().unwrap(), read.maybe().unwrap()),
            (-5, None, Some(7))
        );
        assert_eq!((read.bytes().unwrap(), read.text().unwrap()), (&b""[..], "ä".to_owned()));
        assert_eq!(read.number().unwrap_err().code(), "R0803");
        assert_eq!(Unpacker::new("a thing", 4, &value).unwrap_err().code(), "R0803");
        assert_eq!(Unpacker::new("a thing", 2, &value).unwrap_err().code(), "R0108");
        assert_eq!(Unpacker::since("a thing", (2, 4), &value).unwrap().0, 3);
        assert_eq!(Unpacker::since("a thing", (4, 5), &value).unwrap_err().code(), "R0803");
        assert_eq!(Unpacker::since("a thing", (1, 2), &value).unwrap_err().code(), "R0108");
        assert_eq!(read.end().map_err(|error| error.code()), Ok(()));
        assert_eq!(Unpacker::new("a thing", 3, &value).unwrap().end().unwrap_err().code(), "R0803");
        for cut in 1..value.len() {
            let mut read = Unpacker::new("a thing", 3, &value[..cut]).unwrap();
            let mut all = || -> repot_core::Result<()> {
                read.number()?;
                read.maybe()?;
                read.maybe()?;
                read.bytes()?;
                read.text().map(drop)
            };
            assert_eq!(all().unwrap_err().code(), "R0803", "{cut}");
        }
    }
}

//! What is put below `.repot/`: facts of the ledger, each with a number that was never there before, which is its `ETag`.

use std::sync::Arc;

use bytes::Bytes;
use repot_core::store::{
    ETag, Fact, FactStep, FactValue, Ledger as _, LedgerExt, ObjectBody, ObjectMeta, Precondition,
    check_deadline, check_fact_name,
};
use repot_core::{Error, Kind, Result, hex};

use super::OWN;
use super::row_objects::RowObjects;
use crate::packed::{Packer, Unpacker};

/// Kind of the facts; the name is the path.
pub(in crate::store) const KIND: &str = "object";
const FORM: u8 = 1;
/// Facts read at once.
const LISTED_AT_ONCE: usize = 1_000;

/// One of them.
struct Own {
    nonce: Bytes,
    modified_ms: i64,
    bytes: Bytes,
}

impl Own {
    fn read(fact: &Fact) -> Result<Self> {
        let mut packed = Unpacker::new("an object of Repot's own", FORM, &fact.value)?;
        let modified_ms = packed.number()?;
        let nonce = Bytes::copy_from_slice(packed.bytes()?);
        let bytes = Bytes::copy_from_slice(packed.bytes()?);
        Ok(Self { nonce, modified_ms, bytes })
    }

    fn pack(&self) -> Vec<u8> {
        Packer::new(FORM).number(self.modified_ms).bytes(&self.nonce).bytes(&self.bytes).finish()
    }

    fn etag(&self) -> ETag {
        ETag::new(&hex(&self.nonce))
    }

    fn meta(&self, path: String) -> ObjectMeta {
        ObjectMeta {
            path,
            size_bytes: self.bytes.len() as u64,
            modified_ns: self.modified_ms.saturating_mul(1_000_000),
            etag: Some(self.etag()),
        }
    }
}

impl RowObjects {
    async fn own_at(&self, path: &str) -> Result<Option<Own>> {
        if check_fact_name(KIND, path).is_err() {
            return Ok(None);
        }
        self.rows.fact(KIND, path).await?.as_ref().map(Own::read).transpose()
    }

    pub(super) async fn own(&self, path: &str, bytes_max: u64) -> Result<Option<ObjectBody>> {
        let Some(own) = self.own_at(path).await? else { return Ok(None) };
        if own.bytes.len() as u64 > bytes_max {
            let size = own.bytes.len();
            let message = format!("{path} has {size} bytes, {bytes_max} are the most");
            return Err(Error::new(Kind::Unsupported, "R0213", message));
        }
        let modified_ns = own.modified_ms.saturating_mul(1_000_000);
        Ok(Some(ObjectBody { etag: own.etag(), bytes: own.bytes, modified_ns }))
    }

    pub(super) async fn own_head(&self, path: &str) -> Result<Option<ObjectMeta>> {
        Ok(self.own_at(path).await?.map(|own| own.meta(path.to_owned())))
    }

    pub(super) async fn put_own(
        &self,
        path: &str,
        bytes: Bytes,
        when: &Precondition,
        until_ms: Option<i64>,
    ) -> Result<ETag> {
        let nonce = [self.pacing.random().to_le_bytes(), self.pacing.random().to_le_bytes()].concat();
        let own = Own { nonce: nonce.into(), modified_ms: self.rows.now_ms(), bytes };
        let (etag, packed) = (own.etag(), Bytes::from(own.pack()));
        let step = move || FactStep::Put(FactValue::lasting(packed.clone()));
        self.decide(path, when, until_ms, step).await?;
        Ok(etag)
    }

    pub(super) async fn delete_own(
        &self,
        path: &str,
        when: &Precondition,
        until_ms: Option<i64>,
    ) -> Result<bool> {
        if check_fact_name(KIND, path).is_err() {
            return when.check(&path, None).map(|()| false);
        }
        self.decide(path, when, until_ms, || FactStep::Remove).await
    }

    /// What becomes of one, if the condition holds and the deadline is not over while it is held; gives whether it was there.
    async fn decide(
        &self,
        path: &str,
        when: &Precondition,
        until_ms: Option<i64>,
        step: impl Fn() -> FactStep + Send + Sync + 'static,
    ) -> Result<bool> {
        let (own, when) = (path.to_owned(), when.clone());
        let clock = Arc::clone(&self.rows.options().clock);
        let decide = move |there: Option<&Fact>| {
            let found = there.map(Own::read).transpose()?;
            when.check(&own, found.as_ref().map(Own::etag).as_ref())?;
            check_deadline(until_ms, clock.now_ms())?;
            let step = step();
            let keeps = found.is_none() && step == FactStep::Remove;
            Ok((if keeps { FactStep::Keep } else { step }, found.is_some()))
        };
        LedgerExt::decide(&*self.rows, KIND, path, decide).await
    }

    /// Those of a listing.
    pub(super) async fn own_listed(
        &self,
        prefix: &str,
        after: Option<&str>,
        most: usize,
    ) -> Result<Vec<ObjectMeta>> {
        let mut found = Vec::new();
        if !(prefix.starts_with(OWN) || OWN.starts_with(prefix)) {
            return Ok(found);
        }
        let from = if prefix.len() > OWN.len() { prefix } else { OWN };
        let mut after = after.filter(|after| *after >= from).map(str::to_owned);
        if after.is_none() {
            found.extend(self.own_head(from).await?.filter(|_| from != OWN));
            after = Some(from.to_owned());
        }
        while found.len() < most {
            if after.as_deref().is_some_and(|after| check_fact_name(KIND, after).is_err()) {
                break;
            }
            let wanted = (most - found.len()).min(LISTED_AT_ONCE);
            let facts = self.rows.facts(KIND, after.as_deref(), wanted).await?;
            let ends = facts.len() < wanted;
            for fact in facts {
                if !(fact.name.starts_with(prefix) && fact.name.starts_with(OWN)) {
                    return Ok(found);
                }
                found.push(Own::read(&fact)?.meta(fact.name.clone()));
                after = Some(fact.name);
            }
            if ends {
                break;
            }
        }
        Ok(found)
    }
}

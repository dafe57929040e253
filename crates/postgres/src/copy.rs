//! Binary COPY: fields in large chunks.

use std::pin::Pin;

use crate::client::Client;
use bytes::Bytes;
use futures_util::SinkExt;
use repot_core::{Error, Kind, Retry};
use repot_model::plan::Table;
use repot_model::row::Cells;
use repot_model::sql::quote;
use tokio_postgres::{CopyInSink, Statement};

use crate::encode;
use crate::error::failed;

/// A chunk is sent when it has this many bytes.
const CHUNK_BYTES: usize = 256 * 1024;

/// Signature, flags and the length of the header's extension.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// What went wrong: the server's word, which may be a refusal of rows, or ours.
#[derive(Debug)]
pub(crate) enum Failure {
    /// While doing what, and what the server said.
    Server(String, tokio_postgres::Error),
    /// Another writer, or plain SQL, came between what was read and what is written: everything is to be done again.
    Between(String),
    /// Anything else.
    Ours(Error),
}

impl Failure {
    pub(crate) fn server(what: impl Into<String>) -> impl FnOnce(tokio_postgres::Error) -> Self {
        let what = what.into();
        move |error| Self::Server(what, error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Ours(error)
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Server(what, error) => failed(&what, error),
            Failure::Between(message) => Self::new(Kind::Unavailable, "R0411", message).retry(Retry::Safe),
            Failure::Ours(error) => error,
        }
    }
}

/// A COPY under way. Dropped before [`CopyIn::finish`], it is cancelled.
pub(crate) struct CopyIn {
    sink: Pin<Box<CopyInSink<Bytes>>>,
    buffer: Vec<u8>,
    what: String,
}

impl CopyIn {
    pub(crate) async fn begin(client: &Client, statement: &Statement, what: String) -> Result<Self, Failure> {
        let sink = client.copy_in(statement).await.map_err(Failure::server(what.clone()))?;
        let mut buffer = Vec::with_capacity(CHUNK_BYTES + CHUNK_BYTES / 4);
        buffer.extend_from_slice(HEADER);
        Ok(Self { sink: Box::pin(sink), buffer, what })
    }

    /// Begins a row; its fields are appended to what this gives.
    pub(crate) fn row(&mut self, fields: usize) -> &mut Vec<u8> {
        let fields = i16::try_from(fields).expect("a table has at most 1,600 columns");
        self.buffer.extend_from_slice(&fields.to_be_bytes());
        &mut self.buffer
    }

    /// Appends a row of the user's.
    pub(crate) fn cells(&mut self, table: &Table, cells: &[u8]) -> Result<(), Error> {
        let out = self.row(table.columns.len());
        let mut cells = Cells::new(cells);
        for column in &table.columns {
            let fits = cells.next().is_some_and(|cell| encode::field(&cell, column.kind, out));
            if !fits {
                let name = format!("{}.{}", table.name, column.name);
                return Err(Error::new(
                    Kind::Internal,
                    "R0901",
                    format!("{name}: a cell that is not of the column's kind"),
                ));
            }
        }
        Ok(())
    }

    /// Sends what has gathered when it is enough.
    pub(crate) async fn flush(&mut self) -> Result<(), Failure> {
        if self.buffer.len() >= CHUNK_BYTES {
            self.send().await?;
        }
        Ok(())
    }

    async fn send(&mut self) -> Result<(), Failure> {
        let chunk = std::mem::replace(&mut self.buffer, Vec::with_capacity(CHUNK_BYTES + CHUNK_BYTES / 4));
        self.sink.send(Bytes::from(chunk)).await.map_err(Failure::server(self.what.clone()))
    }

    pub(crate) async fn finish(mut self) -> Result<(), Failure> {
        self.buffer.extend_from_slice(&(-1_i16).to_be_bytes());
        self.send().await?;
        self.sink.as_mut().finish().await.map_err(Failure::server(self.what.clone()))?;
        Ok(())
    }
}

/// The COPY statement of a table of the user's.
pub(crate) fn copy_statement(table: &Table) -> String {
    let columns: Vec<String> = table.columns.iter().map(|column| quote(&column.name)).collect();
    format!("copy {} ({}) from stdin binary", quote(&table.name), columns.join(", "))
}

/// Appends a field of bytes or text.
pub(crate) fn bytes_field(out: &mut Vec<u8>, value: Option<&[u8]>) {
    let Some(value) = value else {
        out.extend_from_slice(&(-1_i32).to_be_bytes());
        return;
    };
    let length = i32::try_from(value.len()).expect("texts and frames are far below 2 GiB");
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(value);
}

/// Appends a bigint field.
pub(crate) fn int_field(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(&8_i32.to_be_bytes());
    out.extend_from_slice(&value.to_be_bytes());
}

/// Appends a smallint field.
pub(crate) fn small_field(out: &mut Vec<u8>, value: i16) {
    out.extend_from_slice(&2_i32.to_be_bytes());
    out.extend_from_slice(&value.to_be_bytes());
}

//! The certificate of a proof: what a third party needs to check it against the files
//! (`tools/check_certificate.py` does). Written by hand, so that the same proof gives the same bytes.

use std::fmt::Write as _;

use repot_core::{Status, StoredObject, hex};
use repot_json::edit::quote;

use crate::verify::Proof;

/// What stands in a certificate beside the proof.
#[derive(Debug, Clone)]
pub struct Heading<'a> {
    /// Hash of the model's plan.
    pub model_hash: &'a str,
    /// The source, without secrets.
    pub source: &'a str,
    /// The target, without secrets.
    pub target: &'a str,
    /// When, milliseconds since 1970.
    pub made_ms: i64,
    /// Name of the list of objects beside it.
    pub objects_file: &'a str,
    /// Documents set aside: path, document, code, reason.
    pub aside: &'a [(String, u32, String, String)],
}

/// The certificate as JSON text.
#[must_use]
pub fn certificate(proof: &Proof, heading: &Heading<'_>) -> String {
    let tally = proof.tally;
    let mut out = String::from("{\n");
    let mut line = |name: &str, value: String| {
        writeln!(out, "  {}: {value},", quote(name)).expect("a String takes everything");
    };
    line("format", "1".to_owned());
    line("model_sha256", quote(heading.model_hash));
    line("source", quote(heading.source));
    line("target", quote(heading.target));
    line("made", quote(&repot_model::plan::time::utc_text(heading.made_ms)));
    line("objects_file", quote(heading.objects_file));
    line("listed", tally.listed.to_string());
    line("moved", tally.moved.to_string());
    line("set_aside", tally.set_aside.to_string());
    line("unmatched", tally.unmatched.to_string());
    line("stays", tally.stays.to_string());
    line("documents", proof.documents.to_string());
    line("differences", (proof.differences.len() as u64).max(proof.rows_differing).to_string());
    line("root", quote(&proof.root));
    let collections: Vec<String> = proof
        .collections
        .iter()
        .map(|(name, proof)| {
            let root = quote(&proof.root);
            format!(
                "    {}: {{\"objects\": {}, \"rows\": {}, \"root\": {root}}}",
                quote(name),
                proof.objects,
                proof.rows
            )
        })
        .collect();
    line("collections", format!("{{\n{}\n  }}", collections.join(",\n")));
    let aside: Vec<String> = heading
        .aside
        .iter()
        .map(|(path, ordinal, code, reason)| {
            let (path, code, reason) = (quote(path), quote(code), quote(reason));
            format!(
                "    {{\"path\": {path}, \"document\": {ordinal}, \"code\": {code}, \"reason\": {reason}}}"
            )
        })
        .collect();
    let list = if aside.is_empty() { "[]".to_owned() } else { format!("[\n{}\n  ]", aside.join(",\n")) };
    writeln!(out, "  \"set_aside_documents\": {list}\n}}").expect("a String takes everything");
    out
}

/// One line of the list of objects: `SHA256  STATUS  COLLECTION  PATH` with `-` for what there is not.
#[must_use]
pub fn object_line(object: &StoredObject) -> String {
    let record = &object.record;
    let status = match record.status {
        Status::Moved => "moved",
        Status::SetAside => "set-aside",
        Status::Unmatched => "unmatched",
        Status::Stays => "stays",
    };
    let hash = if record.sha256.is_empty() { "-".to_owned() } else { hex(&record.sha256) };
    let collection = record.collection.as_deref().unwrap_or("-");
    format!("{hash}\t{status}\t{collection}\t{}\n", quote(&record.path))
}

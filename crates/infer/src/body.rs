//! How the files of a template are read: documents, lists, lines, or bodies.

use repot_model::language::{Body, Format};

use crate::paths::{is_json_extension, is_lines_extension};
use crate::roots::Roots;

/// How a file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// Each is one JSON object.
    Objects,
    /// Each is a list of objects.
    List,
    /// A JSON object a line.
    Lines,
    /// Kept whole.
    Body(Body),
}

/// Decides it so that nothing, or the least, is set aside.
pub(crate) fn reading(extension: Option<&str>, roots: &Roots) -> Reading {
    let json = extension.is_some_and(is_json_extension);
    let lines = extension.is_some_and(is_lines_extension);
    let readable = roots.files - roots.unreadable.count;
    let valid = roots.valid();
    if lines || (roots.lines.count > 0 && roots.lines_ok == readable) {
        let most = readable > 0 && roots.lines_ok * 3 >= readable * 2;
        return if most && roots.line_others == 0 && roots.line_objects > 0 {
            Reading::Lines
        } else {
            whole(roots)
        };
    }
    if !json && (valid < readable || roots.scalars.count > 0 || readable == 0) {
        return whole(roots);
    }
    // One file in three that is no JSON: they are the norm here, not the exception.
    if readable == 0 || (readable - valid) * 3 > readable {
        return whole(roots);
    }
    if roots.objects.count == valid {
        Reading::Objects
    } else if roots.lists.count == valid && roots.list_others == 0 && roots.list_objects > 0 {
        Reading::List
    } else {
        whole(roots)
    }
}

/// The body that holds every one of these files.
pub(crate) fn whole(roots: &Roots) -> Reading {
    let readable = roots.files - roots.unreadable.count;
    Reading::Body(if readable > 0 && roots.valid() == readable && roots.binary == 0 {
        Body::Json
    } else if roots.binary > 0 || readable == 0 {
        Body::Bytes
    } else {
        Body::Text
    })
}

/// The `format` to write where the file's name does not tell the reading.
pub(crate) fn format(extension: Option<&str>, reading: Reading) -> Option<Format> {
    let json = extension == Some("json");
    let lines = matches!(extension, Some("jsonl" | "ndjson"));
    match reading {
        Reading::Objects | Reading::List => (!json).then_some(Format::Json),
        Reading::Lines => (!lines).then_some(Format::JsonLines),
        Reading::Body(Body::Json) => (!json).then_some(Format::Json),
        Reading::Body(Body::Text) => (json || lines).then_some(Format::Text),
        Reading::Body(Body::Bytes) => (json || lines).then_some(Format::Bytes),
    }
}

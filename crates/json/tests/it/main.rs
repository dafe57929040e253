//! Integration tests of the scanner and the editor.

#[cfg(test)]
mod edits;
#[cfg(test)]
mod model;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod rules;
#[cfg(test)]
mod suite;

//! Integration tests of the scanner, the editor and the patches.

#[cfg(test)]
mod changes;
#[cfg(test)]
mod edits;
#[cfg(test)]
mod merges;
#[cfg(test)]
mod merges3;
#[cfg(test)]
mod model;
#[cfg(test)]
mod patch_properties;
#[cfg(test)]
mod patches;
#[cfg(test)]
mod pointers;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod rules;
#[cfg(test)]
mod suite;

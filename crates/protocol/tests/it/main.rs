//! Every order of steps of the protocol, and of the protocol with each of its rules left out.

mod explored;

//! Documents that change store while they are read and written: each step by itself, crashes between steps, and everything
//! at once.

mod chaos;
mod clean_up;
mod far;
mod guard;
mod keyed;
mod lab;
mod objects;
mod outsiders;
mod reads;
mod shadow;
mod steps;
mod together;

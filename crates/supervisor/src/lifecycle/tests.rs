//! Sentences about the machine, its table, its laws over random lives, and a second, simpler machine to compare with.

mod backoff;
mod backoff_laws;
mod bench;
mod judge;
mod laws;
mod model;
mod schedules;
mod sentences;
mod table;

//! The real binary, seen from outside: one module a subject.

mod command_line;
mod demo;

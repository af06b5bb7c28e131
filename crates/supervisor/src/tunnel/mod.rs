//! One tunnel: a task that drives one [`crate::lifecycle::Machine`] with the engine. The machine says when; this says
//! how, and reports back.

mod damper;
mod files;
mod refusal;
mod state;
#[cfg(test)]
pub(crate) mod testing;

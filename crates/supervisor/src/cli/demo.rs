//! `demo`.

use super::problem::Problem;

pub(super) fn run() -> Result<u8, Problem> {
    Err(Problem::Demo("being written".into()))
}

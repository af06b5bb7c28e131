//! `--version`, and with `--verbose` all that a report of a fault needs to name the program.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use tunnel_engine::session::{SupportedAlgorithms, supported_algorithms};
use tunnel_engine::spec::AlgorithmKind;

use super::problem::Problem;
use crate::build_info::{COMMIT, COMPILER, PROFILE, TARGET, VERSION};
use crate::exit;

const KINDS: [AlgorithmKind; 6] = [
    AlgorithmKind::Kex,
    AlgorithmKind::Cipher,
    AlgorithmKind::Mac,
    AlgorithmKind::HostKey,
    AlgorithmKind::PublicKey,
    AlgorithmKind::CaSignature,
];

pub(super) fn run(verbose: bool) -> Result<u8, Problem> {
    let details = if verbose { details() } else { String::new() };
    io::stdout().write_all(format!("tunneld {VERSION}\n{details}").as_bytes()).map_err(Problem::Output)?;
    Ok(exit::OK)
}

fn details() -> String {
    let mut text = format!("commit: {COMMIT}\nprofile: {PROFILE}\ntarget: {TARGET}\ncompiler: {COMPILER}\n");
    for kind in KINDS {
        let SupportedAlgorithms { offered, on_demand } = supported_algorithms(kind);
        let _ = writeln!(text, "{}: {}", kind.key(), offered.join(","));
        if !on_demand.is_empty() {
            let _ = writeln!(text, "{}, where a config names them: {}", kind.key(), on_demand.join(","));
        }
    }
    text
}

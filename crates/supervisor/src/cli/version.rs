//! `--version`, and with `--verbose` all that a report of a fault needs to name the program.

use tunnel_engine::session::{SupportedAlgorithms, supported_algorithms};
use tunnel_engine::spec::AlgorithmKind;

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

pub(super) fn run(verbose: bool) -> u8 {
    println!("tunneld {VERSION}");
    if verbose {
        println!("commit: {COMMIT}\nprofile: {PROFILE}\ntarget: {TARGET}\ncompiler: {COMPILER}");
        for kind in KINDS {
            let SupportedAlgorithms { offered, on_demand } = supported_algorithms(kind);
            println!("{}: {}", kind.key(), offered.join(","));
            if !on_demand.is_empty() {
                println!("{}, where a config names them: {}", kind.key(), on_demand.join(","));
            }
        }
    }
    exit::OK
}

//! Of which source this program was built, and how; `build.rs` finds it out.

/// The version of the package.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit of the source in 40 hexadecimal digits, with `-modified` where files differed from it; `unknown` for a source
/// tree without its git repository, and for a build without optimisation.
pub const COMMIT: &str = env!("BUILD_COMMIT");

/// The cargo profile: `release`, `dist`, `debug`.
pub const PROFILE: &str = env!("BUILD_PROFILE");

/// The machine it runs on, as rustc names it.
pub const TARGET: &str = env!("BUILD_TARGET");

/// The compiler's own `--version`.
pub const COMPILER: &str = env!("BUILD_COMPILER");

//! What the tests of this folder, and of the demo server, share.

use crate::spec::{Destination, SessionSpec, StrictHostKeyChecking};

/// A spec that believes every host key and proves nothing.
pub(crate) fn spec(destination: &str) -> SessionSpec {
    let mut spec = SessionSpec::to(Destination::parse(destination, "me").unwrap());
    spec.host_key.strict = StrictHostKeyChecking::No;
    spec
}

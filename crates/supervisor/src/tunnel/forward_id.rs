//! Names a forward of a tunnel for as long as it is in the config.

/// Never given out twice by one tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub(super) struct ForwardId(u32);

impl ForwardId {
    /// The one after this.
    pub(super) const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

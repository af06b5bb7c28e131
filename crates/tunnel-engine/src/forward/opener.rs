//! What listeners need of a session, as a trait: so that they can be tested without SSH.

use std::future::Future;

use crate::session::{Channel, ChannelRead, ChannelReader, ChannelWrite, ChannelWriter, OpenError, Origin, Session};
use crate::spec::Connect;

/// Whoever opens channels to a target. Implemented by [`Session`].
pub trait Opener: Clone + Send + Sync + 'static {
    /// Read half of its channels.
    type Reader: ChannelRead + 'static;
    /// Write half of its channels.
    type Writer: ChannelWrite + 'static;

    /// See [`Session::open_direct`].
    fn open(
        &self,
        target: &Connect,
        origin: &Origin,
    ) -> impl Future<Output = Result<(Self::Reader, Self::Writer), OpenError>> + Send;
}

impl Opener for Session {
    type Reader = ChannelReader;
    type Writer = ChannelWriter;

    async fn open(&self, target: &Connect, origin: &Origin) -> Result<(ChannelReader, ChannelWriter), OpenError> {
        let Channel { reader, writer } = self.open_direct(target, origin).await?;
        Ok((reader, writer))
    }
}

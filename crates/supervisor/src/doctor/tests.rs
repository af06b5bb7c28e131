//! What the steps of a login and the answers about forwards come to.

//! The line that goes round: `HOST PROGRAM PID RANDOM MESSAGE`, ended by CR LF. Pure.

/// What stays the same in every line.
#[derive(Debug, Clone)]
pub(in crate::autossh) struct MessageForm {
    pub(in crate::autossh) host: String,
    pub(in crate::autossh) program: String,
    pub(in crate::autossh) pid: u32,
    /// AUTOSSH_MESSAGE.
    pub(in crate::autossh) message: String,
}

impl MessageForm {
    /// The line with this number, which tells it from earlier ones and from those of others.
    pub(super) fn line(&self, random: u32) -> Vec<u8> {
        let Self { host, program, pid, message } = self;
        format!("{host} {program} {pid} {random} {message}\r\n").into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_the_one_that_autossh_sends() {
        let mut words =
            MessageForm { host: "vm".into(), program: "autossh".into(), pid: 15393, message: "hello world".into() };
        assert_eq!(words.line(766_324_678), b"vm autossh 15393 766324678 hello world\r\n");
        words.message.clear();
        assert_eq!(words.line(1), b"vm autossh 15393 1 \r\n");
    }
}

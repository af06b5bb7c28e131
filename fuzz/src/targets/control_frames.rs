//! Lines of the control socket: what a client may send to the daemon, and what a client reads from it.

use supervisor::protocol::Response;
use supervisor::protocol::{MAX_REQUEST_BYTES, MAX_WAIT_MS, RequestLine, ResponseLine, VERSION, parse_request};

/// A request that is taken is written as a line that is taken as the same, and asks for a bounded time. An answer that is
/// read is written as one that is read as the same.
pub fn control_frames(data: &[u8]) {
    match parse_request(data) {
        Ok(request) => {
            assert!(data.len() <= MAX_REQUEST_BYTES);
            assert!(request.own_time().as_millis() <= u128::from(MAX_WAIT_MS));
            let line = serde_json::to_vec(&RequestLine { version: VERSION, request: request.clone() });
            let line = line.unwrap_or_else(|error| panic!("{request:?} cannot be written: {error}"));
            assert!(!line.contains(&b'\n'), "a request is one line");
            // Escapes make a line longer: one that just fits may not fit again.
            if line.len() <= MAX_REQUEST_BYTES {
                assert_eq!(parse_request(&line), Ok(request));
            }
        }
        Err(refused) => {
            let answer = serde_json::to_vec(&Response::from(refused));
            assert!(answer.is_ok_and(|line| !line.contains(&b'\n')), "an answer is one line");
        }
    }
    if let Ok(answer) = serde_json::from_slice::<ResponseLine>(data) {
        let line = serde_json::to_vec(&answer).unwrap_or_else(|error| panic!("{answer:?} cannot be written: {error}"));
        let again = serde_json::from_slice::<ResponseLine>(&line);
        // Numbers with fractions are read as one of the two nearest: serde_json's quick way.
        let fractions = line.windows(2).any(|pair| pair[0].is_ascii_digit() && matches!(pair[1], b'.' | b'e' | b'E'));
        assert!(again.is_ok());
        assert!(fractions || again.ok() == Some(answer));
    }
}

//! What comes of damaged URLs: a refusal, or one that is read the same again.

use super::Target;
use crate::fuzz;

#[test]
fn urls() {
    let whole = [
        b"https://api.acme.example:8443/orders/%2F?open=1#top".to_vec(),
        b"http://[::1]:80/".to_vec(),
    ];
    fuzz::damaged(&whole, |octets| {
        let Ok(text) = std::str::from_utf8(octets) else {
            return false;
        };
        text.parse::<Target>().is_ok_and(|target| {
            assert_eq!(target.uri().parse::<Target>().as_ref(), Ok(&target));
            true
        })
    });
}

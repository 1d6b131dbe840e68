//! What comes of damaged words for targets and applications: a refusal, or what they name.

use super::{PinFormat, Target, Upstream};
use crate::fuzz;

#[test]
fn targets_and_applications() {
    fuzz::damaged_texts(&["nginx", "httpd", "wifi"], |text| {
        text.parse::<Target>()
            .map_err(|why| assert!(!why.to_string().is_empty()))
            .is_ok_and(|target| {
                assert_eq!(target.to_string().parse(), Ok(target));
                true
            })
    });
    let formats = PinFormat::ALL.map(PinFormat::word);
    fuzz::damaged_texts(&formats, |text| text.parse::<PinFormat>().is_ok());
    let applications = [
        "http://127.0.0.1:3000",
        "http://[::1]:80/",
        "http://App.acme.example:65535",
    ];
    fuzz::damaged_texts(&applications, |text| {
        text.parse::<Upstream>().is_ok_and(|upstream| {
            assert_eq!(upstream.to_string().parse(), Ok(upstream));
            true
        })
    });
}

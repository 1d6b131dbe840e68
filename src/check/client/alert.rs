//! The alerts by which a server says why it refuses a handshake.

/// The meaning of an alert, in the words of RFC 8446 §6.
pub fn meaning(description: u8) -> &'static str {
    match description {
        40 => "handshake_failure",
        42 => "bad_certificate",
        43 => "unsupported_certificate",
        44 => "certificate_revoked",
        45 => "certificate_expired",
        46 => "certificate_unknown",
        47 => "illegal_parameter",
        48 => "unknown_ca",
        49 => "access_denied",
        50 => "decode_error",
        51 => "decrypt_error",
        70 => "protocol_version",
        71 => "insufficient_security",
        80 => "internal_error",
        86 => "inappropriate_fallback",
        100 => "no_renegotiation",
        112 => "unrecognized_name",
        116 => "certificate_required",
        120 => "no_application_protocol",
        _ => "an alert",
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn an_alert_is_told_by_its_name() {
        assert_eq!(super::meaning(70), "protocol_version");
        assert_eq!(super::meaning(0), "an alert");
    }
}

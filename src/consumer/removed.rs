//! By which headers proxies tell applications who asks, and for what.

/// Whoever believes one of these believes a proxy. A client's own are removed, where a server can; those that
/// the configurations set themselves are not among them: X-Client-Device, X-Forwarded-For, X-Forwarded-Host,
/// X-Forwarded-Proto and X-Real-IP.
pub(super) const REMOVED: &[&str] = &[
    // From where: RFC 7239, and what others have made of it.
    "Forwarded",
    "X-Forwarded",
    "X-Forwarded-Port",
    "X-Forwarded-Server",
    "X-Client-IP",
    "X-Cluster-Client-IP",
    "X-Original-Forwarded-For",
    "X-ProxyUser-IP",
    "X-Remote-Addr",
    "X-Remote-IP",
    "Client-IP",
    "True-Client-IP",
    "CF-Connecting-IP",
    "Fastly-Client-IP",
    "Proxy-Client-IP",
    "WL-Proxy-Client-IP",
    "X-Envoy-External-Address",
    // For what.
    "X-Forwarded-Scheme",
    "X-Forwarded-Protocol",
    "X-Forwarded-Ssl",
    "X-Forwarded-Prefix",
    "X-Forwarded-Uri",
    "X-Scheme",
    "X-Url-Scheme",
    "Front-End-Https",
    "X-Host",
    "X-Original-Host",
    "X-Original-URL",
    "X-Rewrite-URL",
    // Who: by a certificate (RFC 9440, and others), or by a name.
    "Client-Cert",
    "Client-Cert-Chain",
    "X-Client-Cert",
    "X-Client-DN",
    "X-Client-Verify",
    "X-Forwarded-Client-Cert",
    "X-Forwarded-Tls-Client-Cert",
    "X-SSL-Client-Cert",
    "X-SSL-Client-DN",
    "X-SSL-Client-S-DN",
    "X-SSL-Client-Serial",
    "X-SSL-Client-Verify",
    "X-ARR-ClientCert",
    "X-Amzn-Mtls-Clientcert",
    "SSL-Client-Cert",
    "SSL-Client-S-DN",
    "SSL-Client-Serial",
    "SSL-Client-Verify",
    "X-Forwarded-User",
    "X-Forwarded-Email",
    "X-Forwarded-Groups",
    "X-Auth-Request-Email",
    "X-Auth-Request-User",
    "X-Remote-User",
    "X-WebAuth-User",
    "Remote-User",
    // How files are handed over, to Ruby's Rack.
    "X-Accel-Mapping",
    "X-Sendfile-Type",
    // Nobody: CGI makes of it the variable by which programs find a proxy of their own.
    "Proxy",
];

/// Every way to write a name with these marks in the place of its hyphens, each by itself.
pub(super) fn spellings(name: &str, marks: &str) -> Vec<String> {
    let mut words = name.split('-');
    let first = words.next().map(str::to_owned).into_iter().collect();
    words.fold(first, |begun: Vec<String>, word| {
        let longer = |begun: &String| -> Vec<String> {
            marks.chars().map(|mark| format!("{begun}{mark}{word}")).collect()
        };
        begun.iter().flat_map(longer).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::spellings;

    #[test]
    fn a_name_is_spelt_with_every_mixture_of_marks() {
        assert_eq!(spellings("Proxy", "-_"), ["Proxy"]);
        assert_eq!(spellings("A-B", "-_."), ["A-B", "A_B", "A.B"]);
        assert_eq!(spellings("A-B-C", "-_"), ["A-B-C", "A-B_C", "A_B-C", "A_B_C"]);
    }
}

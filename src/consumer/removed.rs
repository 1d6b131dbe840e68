//! The request headers by which proxies tell applications who asks, and for what. Servers remove them from
//! the requests of clients, where they can.

/// The headers to remove, in which an application trusts a proxy. A client's own are removed, where a server
/// can; those that the configurations set themselves are not among them: X-Client-Device, X-Forwarded-For,
/// X-Forwarded-Host, X-Forwarded-Proto and X-Real-IP.
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
    "X-Azure-ClientIP",
    "Remote-Addr",
    "Client-IP",
    "True-Client-IP",
    "CF-Connecting-IP",
    "CF-Connecting-IPv6",
    "Fastly-Client-IP",
    "Fly-Client-IP",
    "Proxy-Client-IP",
    "WL-Proxy-Client-IP",
    "X-Envoy-External-Address",
    // For what.
    "X-Forwarded-Scheme",
    "X-Forwarded-Protocol",
    "X-Forwarded-Ssl",
    "X-Forwarded-Prefix",
    "X-Forwarded-Uri",
    "X-Forwarded-Path",
    "X-Forwarded-Method",
    "X-Scheme",
    "X-Url-Scheme",
    "Front-End-Https",
    "X-Host",
    "X-Original-Host",
    "X-Original-URL",
    "X-Original-URI",
    "X-Original-Method",
    "X-Rewrite-URL",
    // Who, by a certificate: RFC 9440, and others.
    "Client-Cert",
    "Client-Cert-Chain",
    "X-Client-Cert",
    "X-Client-CN",
    "X-Client-DN",
    "X-Client-S-DN",
    "X-Client-Verify",
    "X-Forwarded-Client-Cert",
    "X-Forwarded-Tls-Client-Cert",
    "X-Forwarded-Tls-Client-Cert-Info",
    "X-SSL-Cert",
    "X-SSL-Client-Cert",
    "X-SSL-Client-CN",
    "X-SSL-Client-DN",
    "X-SSL-Client-S-DN",
    "X-SSL-Client-Serial",
    "X-SSL-Client-Verify",
    "X-ARR-ClientCert",
    "X-Amzn-Mtls-Clientcert",
    "X-Amzn-Mtls-Clientcert-Issuer",
    "X-Amzn-Mtls-Clientcert-Leaf",
    "X-Amzn-Mtls-Clientcert-Serial-Number",
    "X-Amzn-Mtls-Clientcert-Subject",
    "X-Amzn-Mtls-Clientcert-Validity",
    "SSL-Client-Cert",
    "SSL-Client-CN",
    "SSL-Client-S-DN",
    "SSL-Client-Serial",
    "SSL-Client-Verify",
    // Who, by a name, and what he may do: each with what it stands beside.
    "X-Forwarded-User",
    "X-Forwarded-Email",
    "X-Forwarded-Groups",
    "X-Forwarded-Preferred-Username",
    "X-Forwarded-Access-Token",
    "X-Auth-Request-User",
    "X-Auth-Request-Email",
    "X-Auth-Request-Groups",
    "X-Auth-Request-Preferred-Username",
    "X-Auth-Request-Access-Token",
    "X-Remote-User",
    "X-Remote-Email",
    "X-Remote-Name",
    "X-Remote-Group",
    "X-Remote-Groups",
    "X-WebAuth-User",
    "X-WebAuth-Email",
    "X-WebAuth-Name",
    "X-WebAuth-Groups",
    "X-WebAuth-Role",
    "Remote-User",
    "Remote-Email",
    "Remote-Name",
    "Remote-Groups",
    "X-Authentik-Username",
    "X-Authentik-Email",
    "X-Authentik-Name",
    "X-Authentik-Groups",
    "X-Authentik-Entitlements",
    "X-Authentik-Uid",
    "X-Authentik-Jwt",
    "X-Amzn-Oidc-Data",
    "X-Amzn-Oidc-Identity",
    "X-Amzn-Oidc-Accesstoken",
    "X-MS-Client-Principal",
    "X-MS-Client-Principal-Id",
    "X-MS-Client-Principal-Idp",
    "X-MS-Client-Principal-Name",
    "Cf-Access-Authenticated-User-Email",
    "Cf-Access-Jwt-Assertion",
    "X-Goog-Authenticated-User-Email",
    "X-Goog-Authenticated-User-Id",
    "X-Goog-IAP-JWT-Assertion",
    "X-Pomerium-Jwt-Assertion",
    "X-Vouch-User",
    "Tailscale-User-Login",
    "Tailscale-User-Name",
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

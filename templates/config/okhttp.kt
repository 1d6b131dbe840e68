// OkHttp: the servers that this app talks to, by their keys. Written by `pki config okhttp`.
//
// OkHttp refuses a server none of whose chain has one of these keys. It knows no expiry: an app that stays out in the field must
// leave the pins aside after their date, as below, or it is locked out for good once the keys have gone. `**.`, the hosts below, it
// knows from version 4.3 on.
{% for set in sets %}
{% if set.within %}
//
// Not the nearest keys alone: OkHttp takes those of every pattern that covers a host, so that {{ set.host }}, which has keys of its own,
// may show one of {{ set.within }}'s as well.
{% endif %}
{% endfor %}
{% if private %}
//
// The servers' certificates are of this PKI: OkHttp does not trust its root by itself. Give the client a trust manager that does
// (okhttp-tls: HandshakeCertificates.Builder().addTrustedCertificate(root.decodeCertificatePem()).build()), or on Android name the
// root in the network security config (`pki config android`).
{% endif %}

import java.time.Instant
import okhttp3.CertificatePinner

fun certificatePinner(now: Instant): CertificatePinner {
    val pins = CertificatePinner.Builder()
{% for set in sets %}
    if (now < Instant.parse("{{ set.expires }}")) {
{% for pin in set.pins %}
        pins.add("{{ set.host }}", "sha256/{{ pin }}")
{% if set.include_subdomains %}
        pins.add("**.{{ set.host }}", "sha256/{{ pin }}")
{% endif %}
{% endfor %}
    }
{% endfor %}
    return pins.build()
}

// OkHttpClient.Builder().certificatePinner(certificatePinner(Instant.now())).build()
{% if private %}

val root = """
{{ root }}
""".trim()
{% endif %}

// Signs requests with a device's own key (RFC 9421, with RFC 9530 for bodies), for servers that verify it: see `pki config requests-node`.
// OkHttp 4 or later; Android 8.0 (API 26) or later, or a JVM.
//
//     val client = OkHttpClient.Builder()
//         .addNetworkInterceptor(RequestSigner(setOf("api.acme.example"), privateKey, certificate))
//         .build()
//
// As a network interceptor it signs what is sent: a request that OkHttp sends again, or to where it was redirected, is signed anew. Other
// hosts than the named ones are told nothing of the device. After a renewal, make another one with the new key and certificate.

import java.io.IOException
import java.security.MessageDigest
import java.security.PrivateKey
import java.security.SecureRandom
import java.security.Signature
import java.security.cert.X509Certificate
import java.util.Base64
import java.util.concurrent.ConcurrentHashMap
import kotlin.math.abs
import okhttp3.Interceptor
import okhttp3.MediaType
import okhttp3.Request
import okhttp3.RequestBody
import okhttp3.Response
import okio.Buffer
import okio.BufferedSink

class RequestSigner(private val hosts: Set<String>, private val key: PrivateKey, certificate: X509Certificate) : Interceptor {
    private val keyId = base64url(sha256(certificate.encoded))
    /** For each host, the milliseconds that its clock is ahead of this one. */
    private val ahead = ConcurrentHashMap<String, Long>()

    override fun intercept(chain: Interceptor.Chain): Response {
        val host = chain.request().url.host
        if (host !in hosts) return chain.proceed(chain.request())
        val response = chain.proceed(signed(chain.request()))
        // OkHttp lets a network interceptor send once. So a clock that is wrong fails one request, and is known for the next.
        val there = response.headers.getDate("Date")
        if (response.code == 401 && there != null && CLOCK.containsMatchIn(response.peekBody(1024).string())) {
            val found = there.time - System.currentTimeMillis()
            if (abs(found) <= FARTHEST) ahead[host] = found
        }
        return response
    }

    /** The request with its signature; its body is read whole for that, because its digest stands in the head. */
    fun signed(request: Request): Request {
        val url = request.url
        val host = if (':' in url.host) "[${url.host}]" else url.host
        val isUsual = url.port == (if (url.isHttps) 443 else 80)
        val parts = linkedMapOf(
            "@method" to request.method,
            "@authority" to if (isUsual) host else "$host:${url.port}",
            "@target-uri" to url.newBuilder().fragment(null).build().toString()
        )
        val builder = request.newBuilder()
        val body = request.body?.let { body -> Buffer().also { body.writeTo(it) }.readByteArray() } ?: ByteArray(0)
        // One of unknown length is sent in chunks, and counts as a body though there be none.
        if (body.isNotEmpty() || request.body?.contentLength() == -1L) {
            val digest = "sha-256=:${base64(sha256(body))}:"
            builder.header("Content-Digest", digest)
            parts["content-digest"] = digest
        }
        // What is sent is what was signed, also of a body that gives its octets once.
        request.body?.let { builder.method(request.method, Octets(it.contentType(), body)) }
        val authorizations = request.headers("Authorization")
        if (authorizations.size > 1) throw IOException("a request has one Authorization")
        authorizations.firstOrNull()?.let { parts["authorization"] = it.trim() }
        val created = (System.currentTimeMillis() + (ahead[url.host] ?: 0)) / 1000
        val nonce = ByteArray(16).also { SecureRandom().nextBytes(it) }
        val parameters = parts.keys.joinToString(" ", "(", ")") { "\"$it\"" } +
            ";created=$created;expires=${created + LIFE};nonce=\"${base64url(nonce)}\";keyid=\"$keyId\"" +
            ";alg=\"ecdsa-p256-sha256\";tag=\"pki-v1\""
        // The signature base (RFC 9421 §2.5).
        val base = parts.entries.joinToString("") { (name, value) -> "\"$name\": $value\n" } + "\"@signature-params\": $parameters"
        val signature = Signature.getInstance("SHA256withECDSA").run {
            initSign(key)
            update(base.toByteArray())
            rAndS(sign())
        }
        return builder
            .header("Signature-Input", "pki=$parameters")
            .header("Signature", "pki=:${base64(signature)}:")
            .build()
    }

    private class Octets(private val type: MediaType?, private val octets: ByteArray) : RequestBody() {
        override fun contentType() = type
        override fun contentLength() = octets.size.toLong()
        override fun writeTo(sink: BufferedSink) {
            sink.write(octets)
        }
    }

    private companion object {
        /** Seconds that a signature lasts. */
        const val LIFE = 60
        /** Milliseconds that another clock is followed: no further, or what was signed would be good some day. */
        const val FARTHEST = 86_400_000L
        val CLOCK = Regex("\"code\"\\s*:\\s*\"clock\"")

        fun sha256(octets: ByteArray): ByteArray = MessageDigest.getInstance("SHA-256").digest(octets)
        fun base64(octets: ByteArray): String = Base64.getEncoder().encodeToString(octets)
        fun base64url(octets: ByteArray): String = Base64.getUrlEncoder().withoutPadding().encodeToString(octets)

        /** r and s, 32 octets each, of the SEQUENCE of two INTEGERs that keys in Android's keystore sign by. */
        fun rAndS(der: ByteArray): ByteArray {
            val pair = ByteArray(64)
            var at = 2
            for (half in 0..1) {
                val length = der[at + 1].toInt()
                val number = der.copyOfRange(at + 2, at + 2 + length).dropWhile { it.toInt() == 0 }.toByteArray()
                number.copyInto(pair, 32 * (half + 1) - number.size)
                at += 2 + length
            }
            return pair
        }
    }
}

// Enrolls a device by an invite of a PKI of `pki`, and renews its certificate. OkHttp 4 or later; Android 8.0 (API 26) or later, or a
// JVM with org.json:json.
//
// What is scanned is a link, https://HOST/i/ID#SECRET.PIN. The page at HOST says where devices enroll, and is believed in nothing
// else: the key there must have the PIN, and only then is anything sent. The key of the device is made by `Keys`, which on Android is
// AndroidKeys.kt, and does not leave it. An app calls all of this off its main thread; what it keeps is the JSON of `Enrolled`.

import java.io.ByteArrayInputStream
import java.io.IOException
import java.net.Socket
import java.security.KeyPair
import java.security.MessageDigest
import java.security.Principal
import java.security.PrivateKey
import java.security.PublicKey
import java.security.Signature
import java.security.cert.CertificateException
import java.security.cert.CertificateFactory
import java.security.cert.X509Certificate
import java.time.Instant
import java.util.Base64
import java.util.Date
import java.util.concurrent.TimeUnit
import javax.net.ssl.SSLContext
import javax.net.ssl.X509KeyManager
import javax.net.ssl.X509TrustManager
import okhttp3.MediaType
import okhttp3.OkHttpClient
import okhttp3.Request
import okhttp3.RequestBody
import okio.BufferedSink
import org.json.JSONArray
import org.json.JSONObject

/** Where the keys of the device are. */
interface Keys {
    /** The key of this name, for ECDSA by P-256; made where there is none yet. It is kept before it is given. */
    fun key(name: String): KeyPair
}

/** What the service says in the place of a certificate. 202: an operator compares the words in the message; ask again later. */
class EnrollmentRefused(val status: Int, message: String) : IOException(message)

/** The key of a server: the SHA-256 of its SubjectPublicKeyInfo, or the first 16 octets of that. */
class Pin private constructor(private val octets: ByteArray) {
    fun isOf(key: PublicKey): Boolean {
        val hash = MessageDigest.getInstance("SHA-256").digest(key.encoded)
        return MessageDigest.isEqual(octets, hash.copyOf(octets.size))
    }

    override fun toString(): String = Base64.getEncoder().encodeToString(octets)

    companion object {
        private const val CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

        /** The pin of an invite: 128 bits in Crockford's base32. */
        fun ofInvite(text: String): Pin {
            require(text.length == 26 && text.all { it in CROCKFORD }) { "this is no pin" }
            val octets = ByteArray(16)
            for ((place, character) in text.withIndex()) for (bit in 0..4) {
                val at = place * 5 + bit
                val set = CROCKFORD.indexOf(character) shr (4 - bit) and 1
                // The last two of 130 are nobody's.
                if (at < 128) octets[at / 8] = (octets[at / 8].toInt() or (set shl (7 - at % 8))).toByte()
            }
            return Pin(octets)
        }

        /** A pin in base64, as pins.jws and [Enrolled] have it. */
        fun ofBase64(text: String): Pin {
            val octets = Base64.getDecoder().decode(text)
            require(octets.size == 16 || octets.size == 32) { "this is no pin" }
            return Pin(octets)
        }
    }
}

/** An invite, as its link says it. It is kept nowhere: the secret is good once, for the first key that comes with it. */
class Invite(link: String) {
    private val parts = LINK.matchEntire(link.trim())?.groupValues
        ?: throw IllegalArgumentException("this code is no invite")
    /** The address of the page: the link without what follows the `#`, which nobody is sent. */
    val page = parts[1]
    val id = parts[2]
    internal val secret = parts[3]
    val pin = Pin.ofInvite(parts[4])

    init {
        // What can be no address is no invite either.
        Request.Builder().url(page)
    }

    private companion object {
        val LINK = Regex("(https://[^/?#@]+/i/([0-9A-Z]{8}))#([0-9A-Z]{26})\\.([0-9A-Z]{26})")
    }
}

/** What an app keeps: nothing of it is secret. [est] is where the device renews, [pins] are the keys there. */
class Enrolled(val est: String, val pins: List<Pin>, val keyName: String, val certificate: X509Certificate) {
    /** Whether its certificate is in the last third of its life: before, nobody renews it. */
    fun isDue(now: Instant): Boolean {
        val (begin, end) = listOf(certificate.notBefore, certificate.notAfter).map(Date::toInstant)
        return now >= end.minusSeconds((end.epochSecond - begin.epochSecond) / 3)
    }

    /**
     * The same with the pins that pins.jws has for the host of [est], once PinsVerifier.kt has verified it: the service changes its key
     * now and then, and the one of the invite is only the one that it had then.
     */
    fun withPins(base64: List<String>) = Enrolled(est, base64.map { Pin.ofBase64(it) }, keyName, certificate)

    fun toJson(): String = JSONObject().put("est", est).put("pins", JSONArray(pins.map(Pin::toString))).put("key", keyName)
        .put("certificate", Base64.getEncoder().encodeToString(certificate.encoded)).toString()

    companion object {
        fun ofJson(text: String): Enrolled {
            val json = JSONObject(text)
            val pins = json.getJSONArray("pins")
            val certificate = certificates(Base64.getDecoder().decode(json.getString("certificate"))).single()
            return Enrolled(
                json.getString("est"), (0 until pins.length()).map { Pin.ofBase64(pins.getString(it)) }, json.getString("key"), certificate
            )
        }
    }
}

class Enrollment(private val keys: Keys) {
    /** None of the app's: its interceptors and authenticators are for its own servers. And no server sends us elsewhere. */
    private val client = OkHttpClient.Builder().followRedirects(false).followSslRedirects(false)
        .connectTimeout(30, TimeUnit.SECONDS).callTimeout(90, TimeUnit.SECONDS).build()

    /**
     * Redeems an invite; [code] are the six digits, where some were told. Where no answer came, the same call asks again with the same
     * key, and gets the same certificate. All that can fail is an IOException: [EnrollmentRefused], or there was no answer, or not from
     * the pinned server, or none that makes sense.
     */
    fun enroll(invite: Invite, code: String? = null): Enrolled {
        val said = client.answer(Request.Builder().url(invite.page).header("Accept", "application/json").build())
        val est = understood { JSONObject(String(said, Charsets.UTF_8)).getString("est").also { require(it.startsWith("https://")) } }
        val name = "pki-${invite.id}"
        val password = listOfNotNull(invite.secret, code).joinToString(":")
        val credentials = Base64.getEncoder().encodeToString("${invite.id}:$password".toByteArray())
        val pins = listOf(invite.pin)
        val certificate = certified("$est/simpleenroll", pins, name, null) { it.header("Authorization", "Basic $credentials") }
        return Enrolled(est, pins, name, certificate)
    }

    /**
     * Renews a certificate that [Enrolled.isDue]. The key is a new one, which has its name of the old certificate: so that the same call
     * asks again with the same key. An app keeps the answer before it forgets the old one, which stays good until it ends.
     */
    fun renew(enrolled: Enrolled): Enrolled {
        val name = "pki-after-${enrolled.certificate.serialNumber.toString(16)}"
        val renewed = certified("${enrolled.est}/simplereenroll", enrolled.pins, name, keyManager(enrolled)) { it }
        return Enrolled(enrolled.est, enrolled.pins, name, renewed)
    }

    /**
     * Shows the certificate to servers, in an SSLContext of the app's own: `init(arrayOf(keyManager), null, null)`. Its socketFactory is
     * for an OkHttpClient.Builder, with the trust manager that the app has.
     */
    fun keyManager(enrolled: Enrolled): X509KeyManager {
        val key = keys.key(enrolled.keyName).private
        return object : X509KeyManager {
            override fun chooseClientAlias(types: Array<String>?, issuers: Array<Principal>?, socket: Socket?) = enrolled.keyName
            override fun getCertificateChain(alias: String?) = arrayOf(enrolled.certificate)
            override fun getPrivateKey(alias: String?) = key
            override fun getClientAliases(type: String?, issuers: Array<Principal>?) = arrayOf(enrolled.keyName)
            override fun getServerAliases(type: String?, issuers: Array<Principal>?): Array<String>? = null
            override fun chooseServerAlias(type: String?, issuers: Array<Principal>?, socket: Socket?): String? = null
        }
    }

    /** A certificate for the key of this name, by EST (RFC 7030 §4.2). */
    private fun certified(
        url: String, pins: List<Pin>, name: String, shown: X509KeyManager?, prepare: (Request.Builder) -> Request.Builder
    ): X509Certificate {
        val pair = keys.key(name)
        val body = Base64.getEncoder().encode(certificationRequest(pair))
        val request = understood { Request.Builder().url(url).header("Content-Type", "application/pkcs10").post(Octets(body)) }
        // Whoever has another key than the pinned one is sent nothing.
        val said = client.pinned(pins, shown).answer(prepare(request).build())
        val certificate = understood { certificates(Base64.getMimeDecoder().decode(said)).single() }
        if (!certificate.publicKey.encoded.contentEquals(pair.public.encoded)) throw IOException("the certificate is for another key")
        return certificate
    }
}

/** A client for the server with one of these keys, and for no other. */
private fun OkHttpClient.pinned(pins: List<Pin>, shown: X509KeyManager?): OkHttpClient {
    val (context, server) = Pair(SSLContext.getInstance("TLS"), Pinned(pins))
    context.init(shown?.let { arrayOf(it) }, arrayOf(server), null)
    return newBuilder().sslSocketFactory(context.socketFactory, server).build()
}

private fun OkHttpClient.answer(request: Request): ByteArray = newCall(request).execute().use { response ->
    val body = response.body?.bytes() ?: ByteArray(0)
    if (response.code != 200) throw EnrollmentRefused(response.code, String(body, Charsets.UTF_8).trim())
    body
}

/** What is sent, whose type is in the header. */
private class Octets(private val octets: ByteArray) : RequestBody() {
    override fun contentType(): MediaType? = null
    override fun contentLength() = octets.size.toLong()
    override fun writeTo(sink: BufferedSink) {
        sink.write(octets)
    }
}

private inline fun <T> understood(read: () -> T): T = try {
    read()
} catch (error: Exception) {
    throw IOException("the answer makes no sense", error)
}

/** Takes a server for the right one by its key alone: no CA is asked. The name is compared by OkHttp. */
private class Pinned(private val pins: List<Pin>) : X509TrustManager {
    override fun checkServerTrusted(chain: Array<X509Certificate>, type: String) {
        if (pins.none { it.isOf(chain[0].publicKey) }) throw CertificateException("the server has another key than the pinned one")
    }

    override fun checkClientTrusted(chain: Array<X509Certificate>, type: String) = throw CertificateException("this is no server")

    override fun getAcceptedIssuers() = arrayOf<X509Certificate>()
}

/** The certificates of certs-only CMS, or one in DER. */
private fun certificates(octets: ByteArray): List<X509Certificate> =
    CertificateFactory.getInstance("X.509").generateCertificates(ByteArrayInputStream(octets)).map { it as X509Certificate }

/** PKCS#10 (RFC 2986): proof that whoever asks has the key. The name in it is nobody's; the invite says whose the certificate is. */
private fun certificationRequest(pair: KeyPair): ByteArray {
    val commonName = der(0x30, byteArrayOf(6, 3, 0x55, 4, 3), der(0x0C, "device".toByteArray()))
    val information = der(
        0x30, byteArrayOf(2, 1, 0), der(0x30, der(0x31, commonName)), pair.public.encoded, byteArrayOf(0xA0.toByte(), 0)
    )
    val signature = Signature.getInstance("SHA256withECDSA").run {
        initSign(pair.private)
        update(information)
        sign()
    }
    return der(0x30, information, der(0x30, ECDSA_WITH_SHA256), der(3, byteArrayOf(0), signature))
}

/** 1.2.840.10045.4.3.2 (RFC 5758 §3.2). */
private val ECDSA_WITH_SHA256 = byteArrayOf(6, 8, 0x2A, 0x86.toByte(), 0x48, 0xCE.toByte(), 0x3D, 4, 3, 2)

/** An element in DER, of less than 64 KiB. */
private fun der(tag: Int, vararg parts: ByteArray): ByteArray {
    val content = parts.fold(ByteArray(0)) { all, part -> all + part }
    val size = content.size
    val length = when {
        size < 0x80 -> byteArrayOf(size.toByte())
        size < 0x100 -> byteArrayOf(0x81.toByte(), size.toByte())
        else -> byteArrayOf(0x82.toByte(), (size shr 8).toByte(), size.toByte())
    }
    return byteArrayOf(tag.toByte()) + length + content
}

// Verifies pins.jws, the pins that a PKI of `pki` signs for its apps. Android 8.0 (API 26) or later; on a JVM with org.json:json.
//
// It throws PinsRefused unless the token was signed by a CA for devices that this very root has issued. The root comes with the app;
// a device's and a server's certificate chain to it as well, and what their keys sign is refused. An app keeps the sets that it knows
// where this throws, and remembers `number`: an older token is refused.

import java.io.ByteArrayInputStream
import java.math.BigInteger
import java.net.InetAddress
import java.net.UnknownHostException
import java.security.GeneralSecurityException
import java.security.Signature
import java.security.cert.CertificateFactory
import java.security.cert.X509CRL
import java.security.cert.X509Certificate
import java.security.interfaces.ECPublicKey
import java.time.DateTimeException
import java.time.Instant
import java.util.Base64
import java.util.Date
import org.json.JSONException
import org.json.JSONObject

class PinSet(val host: String, val includeSubdomains: Boolean, val expires: Instant, val pins: List<String>)

class Pins(val number: Long, val expires: Instant, val sets: List<PinSet>) {
    /**
     * The set that holds for a host: its own, or that of the nearest host above that includes it; no other one counts beside it. Letter
     * case and a dot at the end make no other host, and an address has none below it.
     */
    fun setOf(host: String): PinSet? {
        val plain = canonical(host)
        return sets.filter {
            val name = canonical(it.host)
            plain.equals(name, ignoreCase = true) ||
                it.includeSubdomains && !isAddress(it.host) && plain.endsWith(".$name", ignoreCase = true)
        }.sortedBy { it.host.length }.lastOrNull()
    }
}

private fun isAddress(host: String) = ':' in host || host.all { it in '0'..'9' || it == '.' }

/** What has a colon is an address, and no name service is asked for it. */
private fun canonical(host: String): String = try {
    if (':' in host) InetAddress.getByName(host).hostAddress else host.removeSuffix(".")
} catch (error: UnknownHostException) {
    host
}

class PinsRefused(why: String, cause: Throwable? = null) : Exception("pins.jws: $why", cause)

// More than any has, and little enough to be read before it is known who has signed it.
private const val LONGEST_TOKEN = 256 * 1024
private const val LONGEST_HEADER = 8 * 1024

// Beyond these not every reader of JSON has the same number (RFC 8259 §6).
private val INTEGERS = -(1L shl 53) + 1..(1L shl 53) - 1

/**
 * [root] comes with the app; [lastNumber] is that of the last token that was taken, and a lower one is refused; [rootCrl] is given
 * where a CA that was revoked is to be refused, too, and must be in date: one that has ended does not tell what was revoked since.
 */
fun verifyPins(
    token: String, root: X509Certificate, lastNumber: Long, now: Instant, rootCrl: X509CRL? = null
): Pins = try {
    verified(token, root, lastNumber, now, rootCrl)
} catch (error: GeneralSecurityException) {
    throw PinsRefused("a certificate or a signature that does not hold", error)
} catch (error: IllegalArgumentException) {
    throw PinsRefused("no base64", error)
} catch (error: JSONException) {
    throw PinsRefused("no JSON of that form", error)
} catch (error: DateTimeException) {
    throw PinsRefused("no date", error)
} catch (error: StackOverflowError) {
    // org.json calls itself for each array within another.
    throw PinsRefused("no JSON of that form", error)
}

private fun verified(token: String, root: X509Certificate, lastNumber: Long, now: Instant, rootCrl: X509CRL?): Pins {
    demand(token.length <= LONGEST_TOKEN, "longer than 256 KiB")
    val parts = token.trim().split(".")
    demand(parts.size == 3, "no JWS in compact form")
    demand(parts[0].length <= LONGEST_HEADER, "a header longer than 8 KiB")
    val header = JSONObject(String(base64url(parts[0]), Charsets.UTF_8))
    val signature = base64url(parts[2])
    demand(header.getString("alg") == "ES256", "another algorithm than ES256")
    demand(header.getString("typ") == "pki-pins+jws", "no pins, but another statement")
    demand(!header.has("crit"), "an extension that must be understood")
    val chain = header.getJSONArray("x5c")
    demand(chain.length() == 1, "not exactly one certificate")

    val der = Base64.getDecoder().decode(chain.getString(0))
    val signer = CertificateFactory.getInstance("X.509").generateCertificate(ByteArrayInputStream(der)) as X509Certificate
    demand(signer.encoded.contentEquals(der), "something behind the certificate")
    demand(root.basicConstraints >= 0 && signer.basicConstraints >= 0, "signed by a certificate that is no CA's")
    demand(signer.issuerX500Principal == root.subjectX500Principal, "signed by a CA that this root has not issued")
    signer.verify(root.publicKey)
    demand(signer.keyUsage?.get(0) == true, "signed by a CA that may not sign statements")
    demand(signer.extendedKeyUsage?.contains("1.3.6.1.5.5.7.3.2") == true, "signed by a CA that is not for devices")
    for (certificate in listOf(root, signer)) certificate.checkValidity(Date.from(now))
    if (rootCrl != null) {
        rootCrl.verify(root.publicKey)
        val ends = rootCrl.nextUpdate
        demand(ends != null, "a CRL without an end")
        demand(rootCrl.thisUpdate <= Date.from(now.plusSeconds(300)), "a CRL of the root that begins in the future")
        demand(Date.from(now) <= ends, "a CRL of the root that has ended")
        demand(rootCrl.getRevokedCertificate(signer.serialNumber) == null, "signed by a CA that was revoked")
    }

    val key = signer.publicKey
    demand(key is ECPublicKey && key.params.order.bitLength() == 256 && signature.size == 64, "another key than P-256")
    val verifier = Signature.getInstance("SHA256withECDSA")
    verifier.initVerify(key)
    verifier.update("${parts[0]}.${parts[1]}".toByteArray(Charsets.US_ASCII))
    demand(verifier.verify(ecdsaDer(signature)), "a signature that does not hold")

    // Not before: what anybody may have written is not looked at.
    val payload = JSONObject(String(base64url(parts[1]), Charsets.UTF_8))
    demand(integer(payload, "version") == 1L, "another version than 1")
    val number = integer(payload, "number")
    val iat = Instant.ofEpochSecond(integer(payload, "iat"))
    val exp = Instant.ofEpochSecond(integer(payload, "exp"))
    demand(number > 0 && iat < exp, "no number or dates")
    demand(number >= lastNumber, "older than what is known")
    demand(iat <= now.plusSeconds(300), "signed in the future")
    demand(now < exp, "expired")
    val sets = payload.getJSONArray("sets")
    return Pins(number, exp, (0 until sets.length()).map { pinSet(sets.getJSONObject(it)) })
}

/** org.json's own getLong makes one of a string and of a fraction, too. */
private fun integer(json: JSONObject, name: String): Long {
    val value = json.get(name)
    val whole = (value as? Int)?.toLong() ?: value as? Long
    if (whole == null || whole !in INTEGERS) throw PinsRefused("a number that is no integer")
    return whole
}

private fun pinSet(set: JSONObject): PinSet {
    val pins = set.getJSONArray("pins")
    val keys = (0 until pins.length()).map { pins.getJSONObject(it).getString("pin") }
    demand(keys.size >= 2 && keys.all { Base64.getDecoder().decode(it).size == 32 }, "no pin set")
    // Its own getBoolean makes one of a string.
    val includeSubdomains = set.get("include_subdomains") as? Boolean ?: throw PinsRefused("no pin set")
    return PinSet(set.getString("host"), includeSubdomains, Instant.parse(set.getString("expires")), keys)
}

private fun demand(holds: Boolean, otherwise: String) {
    if (!holds) throw PinsRefused(otherwise)
}

private fun base64url(text: String): ByteArray {
    val octets = Base64.getUrlDecoder().decode(text)
    demand(Base64.getUrlEncoder().withoutPadding().encodeToString(octets) == text, "no base64url")
    return octets
}

/** A JWS has the two numbers side by side (RFC 7518 §3.4), Java wants them as a SEQUENCE. */
private fun ecdsaDer(signature: ByteArray): ByteArray {
    val numbers = listOf(signature.copyOfRange(0, 32), signature.copyOfRange(32, 64)).map {
        val octets = BigInteger(1, it).toByteArray()
        byteArrayOf(2, octets.size.toByte()) + octets
    }
    val content = numbers[0] + numbers[1]
    return byteArrayOf(0x30, content.size.toByte()) + content
}

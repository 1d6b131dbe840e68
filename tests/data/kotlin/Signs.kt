// An app whose requests RequestSigner.kt signs, on a JVM: `signs.jar PORT OTHER` asks the API at PORT, and what is at OTHER and is not
// its API.

import java.io.File
import java.security.KeyFactory
import java.security.cert.CertificateFactory
import java.security.cert.X509Certificate
import java.security.spec.PKCS8EncodedKeySpec
import java.util.Base64
import okhttp3.MediaType
import okhttp3.OkHttpClient
import okhttp3.Request
import okhttp3.RequestBody
import okio.BufferedSink

fun main(arguments: Array<String>) {
    val (port, other) = arguments
    val pem = File("alice.key").readLines().filter { !it.startsWith("-") }.joinToString("")
    val key = KeyFactory.getInstance("EC").generatePrivate(PKCS8EncodedKeySpec(Base64.getDecoder().decode(pem)))
    val certificate = CertificateFactory.getInstance("X.509").generateCertificate(File("alice.crt").inputStream()) as X509Certificate
    val client = OkHttpClient.Builder().addNetworkInterceptor(RequestSigner(setOf("localhost"), key, certificate)).build()
    val text = MediaType.parse("text/plain")
    fun ask(url: String, make: (Request.Builder) -> Request.Builder) =
        client.newCall(make(Request.Builder().url(url)).build()).execute().use { println("${it.code()} ${it.body()!!.string().trim()}") }
    val api = "http://localhost:$port"
    // Signatures differ in length where a number is small: many of them find a mistake in taking r and s out.
    val all = (1..300).count { number ->
        client.newCall(Request.Builder().url("$api/orders?number=$number").build()).execute().use { it.code() == 200 }
    }
    println("$all taken")
    ask("$api/a%2Fb?c=%20d&e#part") { it }
    ask("$api/orders") { it.post(RequestBody.create(text, "{}")).header("Authorization", "Bearer word") }
    ask("$api/orders") { it.put(RequestBody.create(text, "")) }
    ask("$api/orders") { it.delete() }
    // A body whose length nobody knows, and that gives its octets once.
    for (octets in listOf("once", "")) ask("$api/orders") {
        it.post(object : RequestBody() {
            private var isOver = false
            override fun contentType() = text
            override fun writeTo(sink: BufferedSink) {
                if (!isOver) sink.writeUtf8(octets)
                isOver = true
            }
        })
    }
    // Which sends it to the API, where it is signed anew.
    ask("http://localhost:$other/redirect") { it }
    ask("http://127.0.0.1:$other/") { it }
}

// An app that enrolls by Enrollment.kt on a JVM, with its keys in files in the place of a phone's hardware.
//
// enroll: the lines of stdin are links, some with six digits behind them; it enrolls by each, and tries at once to renew what it has.
// renew: they are pins in base64, some in a line; it renews what it has enrolled last, with these pins for the service.

import java.io.File
import java.security.KeyFactory
import java.security.KeyPair
import java.security.KeyPairGenerator
import java.security.spec.ECGenParameterSpec
import java.security.spec.PKCS8EncodedKeySpec
import java.security.spec.X509EncodedKeySpec
import java.time.Instant

object FileKeys : Keys {
    override fun key(name: String): KeyPair {
        val (private, public) = listOf("private", "public").map { File("$name.$it") }
        if (!private.exists()) {
            val made = KeyPairGenerator.getInstance("EC").apply { initialize(ECGenParameterSpec("secp256r1")) }.generateKeyPair()
            public.writeBytes(made.public.encoded)
            private.writeBytes(made.private.encoded)
        }
        val factory = KeyFactory.getInstance("EC")
        return KeyPair(
            factory.generatePublic(X509EncodedKeySpec(public.readBytes())),
            factory.generatePrivate(PKCS8EncodedKeySpec(private.readBytes()))
        )
    }
}

fun main(arguments: Array<String>) {
    val enrollment = Enrollment(FileKeys)
    val kept = File("enrolled.json")
    for (line in generateSequence(::readLine)) {
        if (arguments[0] == "enroll") {
            said {
                val words = line.split(" ")
                val enrolled = enrollment.enroll(Invite(words[0]), words.getOrNull(1))
                kept.writeText(enrolled.toJson())
                val due = listOf(0L, 65L).map { enrolled.isDue(Instant.now().plusSeconds(it * 86400)) }
                "enrolled ${serial(enrolled)} $due"
            }
            said { "renewed ${serial(enrollment.renew(Enrolled.ofJson(kept.readText())))}" }
        } else {
            said { "renewed ${serial(enrollment.renew(Enrolled.ofJson(kept.readText()).withPins(line.split(" "))))}" }
        }
    }
}

private fun serial(enrolled: Enrolled) = "%032X".format(enrolled.certificate.serialNumber)

private fun said(what: () -> String) = println(
    try {
        what()
    } catch (error: EnrollmentRefused) {
        "${error.status} ${error.message}"
    } catch (error: Exception) {
        "failed: ${error.message}"
    }
)

// The keys of Enrollment.kt in the hardware of an Android phone. Android 8.0 (API 26) or later.

import android.security.keystore.KeyGenParameterSpec
import android.security.keystore.KeyProperties
import java.security.KeyPair
import java.security.KeyPairGenerator
import java.security.KeyStore
import java.security.spec.ECGenParameterSpec

class AndroidKeys : Keys {
    private val store = KeyStore.getInstance("AndroidKeyStore").apply { load(null) }

    override fun key(name: String): KeyPair {
        val kept = store.getEntry(name, null) as? KeyStore.PrivateKeyEntry
        if (kept != null) return KeyPair(kept.certificate.publicKey, kept.privateKey)
        val generator = KeyPairGenerator.getInstance(KeyProperties.KEY_ALGORITHM_EC, "AndroidKeyStore")
        generator.initialize(
            KeyGenParameterSpec.Builder(name, KeyProperties.PURPOSE_SIGN)
                .setAlgorithmParameterSpec(ECGenParameterSpec("secp256r1"))
                // In a TLS handshake Android hashes by itself, and has the key sign the hash.
                .setDigests(KeyProperties.DIGEST_SHA256, KeyProperties.DIGEST_NONE)
                .build()
        )
        return generator.generateKeyPair()
    }

    /** Forgets a key, once the certificate that replaces its own is kept. */
    fun remove(name: String) = store.deleteEntry(name)
}

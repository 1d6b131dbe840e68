// As much of Android's classes as AndroidKeys.kt names: by these it is compiled off Android, and not run.

package android.security.keystore

import java.security.spec.AlgorithmParameterSpec

object KeyProperties {
    const val KEY_ALGORITHM_EC = "EC"
    const val PURPOSE_SIGN = 4
    const val DIGEST_SHA256 = "SHA-256"
    const val DIGEST_NONE = "NONE"
}

class KeyGenParameterSpec private constructor() : AlgorithmParameterSpec {
    @Suppress("UNUSED_PARAMETER")
    class Builder(name: String, purposes: Int) {
        fun setAlgorithmParameterSpec(spec: AlgorithmParameterSpec) = this
        fun setDigests(vararg digests: String) = this
        fun build() = KeyGenParameterSpec()
    }
}

// What Enrollment.kt calls by its name of OkHttp 4, by the name that it has in Debian's OkHttp 3.

import okhttp3.Response

val Response.code get() = code()
val Response.body get() = body()

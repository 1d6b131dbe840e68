// What the samples call by its name of OkHttp 4, by the name that it has in Debian's OkHttp 3.

import okhttp3.HttpUrl
import okhttp3.Request
import okhttp3.Response

val HttpUrl.host get() = host()
val HttpUrl.port get() = port()
val Request.body get() = body()
val Request.method get() = method()
val Request.url get() = url()
val Response.code get() = code()
val Response.body get() = body()
val Response.headers get() = headers()

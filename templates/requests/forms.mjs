// The forms in which frameworks take what lets a request through or throws a Refusal.
function forms(judge, maxBody) {
  const asRefusal = (error) => {
    if (error instanceof Refusal) return error;
    console.error(error);
    return new Refusal(500, "fault", "the request could not be verified");
  };
  // Of a body that is late, too long or of unknown length the rest is not waited for.
  const headersOf = ({ status, headers }, { headers: asked, complete }) => {
    const isAwaited = status !== 408 && Number(asked["content-length"] ?? Infinity) <= maxBody;
    return complete || isAwaited ? headers : { ...headers, Connection: "close" };
  };
  // Something else may have answered meanwhile, by a limit on time: then nothing follows.
  const isOver = (response) => response.headersSent || response.writableEnded || response.destroyed;
  const answer = (request, response, refusal) => {
    if (!isOver(response)) response.writeHead(refusal.status, headersOf(refusal, request)).end(refusal.body);
  };
  const express = (request, response, next) => {
    const go = () => isOver(response) ? undefined : next();
    judge(request).then(go, (error) => answer(request, response, asRefusal(error)));
  };
  const plugin = async (instance) => {
    for (const name of ["device", "token"]) if (!instance.hasRequestDecorator(name)) instance.decorateRequest(name, null);
    instance.addHook("onRequest", async (request, reply) => {
      try {
        await judge(request.raw);
      } catch (error) {
        const refusal = asRefusal(error);
        if (isOver(reply.raw)) return reply.hijack();
        return reply.code(refusal.status).headers(headersOf(refusal, request.raw)).send(refusal.body);
      }
      Object.assign(request, { device: request.raw.device, token: request.raw.token });
      return undefined;
    });
  };
  return {
    express,
    /** A handler of plain http that gets what is let through. */
    handler: (handle) => (request, response) => express(request, response, () => handle(request, response)),
    /** A plugin of Fastify: for everything in the instance that it is registered in. */
    fastify: Object.assign(plugin, { [Symbol.for("skip-override")]: true }),
  };
}

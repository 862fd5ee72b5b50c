# SPDX-License-Identifier: Apache-2.0
"""The TLS side of a receiver that staples an OCSP response."""

try:
    from OpenSSL import SSL
except ImportError:
    SSL = None  # only stapling needs it


class Stapled:
    """A TLS server connection that staples an OCSP response, which Python's ssl cannot."""

    def __init__(self, connection, certificate, response):
        context = SSL.Context(SSL.TLS_SERVER_METHOD)
        context.use_certificate_chain_file(certificate.path)
        context.use_privatekey_file(certificate.path)
        context.set_ocsp_server_callback(lambda _connection, _data: response)
        connection.settimeout(None)  # pyOpenSSL knows no time-outs; the client has some
        self._tls = SSL.Connection(context, connection)
        self._tls.set_accept_state()
        self.world_sni, self.session_reused = None, False

    def do_handshake(self):
        try:
            self._tls.do_handshake()
        except SSL.Error as error:
            raise OSError(str(error)) from None
        name = self._tls.get_servername()
        self.world_sni = name.decode() if name else None

    def recv(self, size):
        try:
            return self._tls.recv(size)
        except SSL.ZeroReturnError:
            return b""
        except SSL.Error as error:
            raise OSError(str(error)) from None

    def version(self):
        return self._tls.get_protocol_version_name()

    def cipher(self):
        return (self._tls.get_cipher_name(),)

    def getpeercert(self, _binary):
        return None

    def __getattr__(self, name):
        return getattr(self._tls, name)

// Messages by nodemailer, as a program would send them: node nodemailer.js PORT USER PASSWORD RECIPIENT. Prints one reply a line.
const nodemailer = require('nodemailer');

const [port, user, pass, to] = process.argv.slice(2);
const transport = nodemailer.createTransport({
  host: '127.0.0.1', port: Number(port), secure: false, requireTLS: true, name: 'client.test', pool: true, maxConnections: 2,
  tls: {rejectUnauthorized: false}, auth: {user, pass},
});
const dsn = {id: 'QQ+1=2', return: 'headers', notify: ['failure', 'delay'], recipient: to};
const messages = [
  {subject: 'plain', text: 'first\n.\n..two dots\n'},
  {subject: 'Grüße', text: 'Ärger über Öl\n', html: '<p>Ärger</p>'},
  {subject: 'attached', text: 'see below', attachments: [{filename: 'räume.bin', content: Buffer.alloc(300000, 'hoplock\0')}]},
  {subject: 'told', text: 'with a notice', dsn},
];
Promise.all(messages.map((message) => transport.sendMail({from: 'a@client.test', to, ...message})))
    .then((all) => all.forEach((info) => console.log(info.response)))
    .catch((error) => { console.error(error.message); process.exitCode = 1; })
    .finally(() => transport.close());

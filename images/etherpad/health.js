'use strict';

exports.expressCreateServer = (hookName, args, cb) => {
  args.app.get('/health', (req, res) => {
    res.set('Content-Type', 'application/health+json');
    res.send(JSON.stringify({status: 'pass'}));
  });
  return cb();
};

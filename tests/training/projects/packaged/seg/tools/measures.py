from tensorflow.keras import backend as K


def tversky(alpha=0.5):
    def tversky_loss(y_true, y_pred):
        hit = K.sum(y_true * y_pred, axis=-1)
        missed = K.sum(y_true * (1 - y_pred), axis=-1)
        wrong = K.sum((1 - y_true) * y_pred, axis=-1)
        return 1 - (hit + 1) / (hit + alpha * missed + (1 - alpha) * wrong + 1)

    return tversky_loss


def recall(y_true, y_pred):
    return K.mean(K.sum(y_true * K.round(y_pred), axis=-1) / (K.sum(y_true, axis=-1) + 1))


mild = tversky(0.3)

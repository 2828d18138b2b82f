from tensorflow.keras import backend as K


def weighted_crossentropy(weight):
    def loss(y_true, y_pred):
        return weight * K.categorical_crossentropy(y_true, y_pred)

    return loss


def mean_error(y_true, y_pred):
    return K.mean(K.abs(y_true - y_pred))
